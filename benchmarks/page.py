"""Measures the page against its budgets, in headless Chromium: ``python benchmarks/page.py [ADDRESS] [--photo FILE]``.

Without an address the app is started on a free port. Prints one line for each budget: measured (median where it is
repeated) and wanted. The machine should be idle.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

#: From a slider's event to the loaded picture, 80 times.
DRAG = """async () => {
    const input = document.querySelector('.card input[type=range]');
    const image = document.querySelector('[data-hook=result]');
    const taken = [];
    for (let i = 0; i < 80; i++) {
        const loaded = new Promise((done) => image.addEventListener('load', done, { once: true }));
        const start = performance.now();
        input.value = -2 + i / 20 + 0.09;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        await loaded;
        taken.push(performance.now() - start);
        await new Promise((rested) => setTimeout(rested, 20));
    }
    return taken.sort((a, b) => a - b)[40];
}"""
#: From a click on undo or redo to the loaded picture, 10 times.
UNDO = """async () => {
    const image = document.querySelector('[data-hook=result]');
    const taken = [];
    for (let i = 0; i < 10; i++) {
        const loaded = new Promise((done) => image.addEventListener('load', done, { once: true }));
        const start = performance.now();
        document.querySelector(i % 2 ? '[data-hook=redo]' : '[data-hook=undo]').click();
        await loaded;
        taken.push(performance.now() - start);
        await new Promise((rested) => setTimeout(rested, 100));
    }
    return taken.sort((a, b) => a - b)[5];
}"""


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The app on a free port."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    app = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT)
    try:
        while app.poll() is None:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/editor/about")
                break
            time.sleep(0.5)
        time.sleep(15)  # until it is warm
        yield f"http://127.0.0.1:{port}/"
    finally:
        app.terminate()


def measure(page: Page, address: str, photo: Path) -> None:
    def report(what: str, seconds: float, budget: float) -> None:
        verdict = "ok" if seconds <= budget else "over"
        print(f"{what:<34}{seconds * 1000:>9.0f} ms   budget {budget * 1000:>6.0f} ms   {verdict}")

    start = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".le[data-view=start]")
    report("page usable", time.perf_counter() - start, 1.5)
    start = time.perf_counter()
    page.set_input_files("input[type=file]", photo)
    page.wait_for_selector(".le[data-view=reconstruct]")
    report("face found", time.perf_counter() - start, 1.0)
    page.wait_for_function("document.querySelector('[data-hook=figures]').textContent.includes('dB')", polling=20)
    report("first reconstruction", time.perf_counter() - start, 2.0)
    page.click("[data-hook=stop]")
    page.wait_for_selector(".le[data-view=edit]")
    start = time.perf_counter()
    page.wait_for_function("document.querySelectorAll('.tile img[src]').length >= 9", polling=20)  # and three cards
    report("thumbnails of twelve directions", time.perf_counter() - start, 1.5)
    page.wait_for_timeout(1500)
    report("slider to pixels, median", page.evaluate(DRAG) / 1000, 0.030)
    page.locator(".card input[type=range]").first.dispatch_event("change")
    page.wait_for_timeout(1000)
    report("undo, median", page.evaluate(UNDO) / 1000, 0.050)
    start = time.perf_counter()
    page.fill("[data-hook=prompt]", "red hair")
    page.press("[data-hook=prompt]", "Enter")
    page.wait_for_selector(".card[data-key^=t]")
    report("text slider", time.perf_counter() - start, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?")
    parser.add_argument("--photo", type=Path, default=ROOT.parent / "shared" / "photos" / "astronaut.png")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        address = options.address or stack.enter_context(served())
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS
        )
        measure(browser.new_page(viewport={"width": 1280, "height": 800}), address, options.photo)
        browser.close()


if __name__ == "__main__":
    main()
