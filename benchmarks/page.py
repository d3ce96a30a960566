"""Measures the page against its budgets, in headless Chromium: ``python benchmarks/page.py [ADDRESS] [--photo FILE]``.

Without an address the app is started on a free port. Prints one line for each budget and writes
``benchmarks/results/page.json``. The latency of a slider is the time from its event to the decoded picture, measured
over the frame socket and over plain requests, the fallback if WebSockets are blocked. Run it on idle cores.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from environment import environment  # noqa: E402
from playwright.sync_api import Page  # noqa: E402
from serving import chromium, percentiles, served, write  # noqa: E402

WARM_S = 20.0
#: Times from a slider's event to the decoded picture, 160 times, in milliseconds.
DRAG = """async () => {
    const input = document.querySelector('.card input[type=range]');
    const image = document.querySelector('[data-hook=result]');
    const times = [];
    for (let i = 0; i < 160; i++) {
        const loaded = new Promise((done) => image.addEventListener('load', done, { once: true }));
        const start = performance.now();
        input.value = -2 + i / 40 + 0.09;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        await loaded;
        await image.decode();
        times.push(performance.now() - start);
        await new Promise((rested) => setTimeout(rested, 20));
    }
    return times;
}"""
#: Times from a click on undo or redo to the decoded picture, 20 times, in milliseconds.
UNDO = """async () => {
    const image = document.querySelector('[data-hook=result]');
    const times = [];
    for (let i = 0; i < 20; i++) {
        const loaded = new Promise((done) => image.addEventListener('load', done, { once: true }));
        const start = performance.now();
        document.querySelector(i % 2 ? '[data-hook=redo]' : '[data-hook=undo]').click();
        await loaded;
        await image.decode();
        times.push(performance.now() - start);
        await new Promise((rested) => setTimeout(rested, 100));
    }
    return times;
}"""
#: A WebSocket that closes at once, as behind a proxy that blocks it.
BLOCKED = """window.WebSocket = class extends EventTarget {
    static OPEN = 1;
    readyState = 3;
    constructor() { super(); setTimeout(() => this.dispatchEvent(new Event('close')), 50); }
    close() {}
}"""

Report = Callable[..., None]


def open_face(page: Page, address: str) -> None:
    """Opens the page with a random face and waits until all thumbnails are loaded."""
    page.goto(address)
    page.wait_for_selector(".le[data-view=start]")
    page.locator("[data-hook=random]").click()
    page.wait_for_selector(".le[data-view=edit]")
    page.wait_for_function("document.querySelectorAll('.tile img[src]').length >= 9", polling=50)
    page.wait_for_timeout(1500)


def measure(page: Page, address: str, photo: Path, report: Report) -> None:
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
    report("slider to pixels", page.evaluate(DRAG), 0.030, 0.060)
    page.locator(".card input[type=range]").first.dispatch_event("change")
    page.wait_for_timeout(1000)
    report("undo", page.evaluate(UNDO), 0.050)
    start = time.perf_counter()
    page.fill("[data-hook=prompt]", "red hair")
    page.press("[data-hook=prompt]", "Enter")
    page.wait_for_selector(".card[data-key^=t]")
    report("text slider", time.perf_counter() - start, 5.0)


def reporter(rows: dict[str, dict[str, Any]]) -> Report:
    """Returns a function that prints and stores a row: seconds or milliseconds, and budgets for median and p95."""

    def report(name: str, found: float | list[float], budget_s: float, budget_p95_s: float | None = None) -> None:
        if isinstance(found, list):
            row = percentiles([ms / 1000 for ms in found])
            ok = row["p50_ms"] <= budget_s * 1000 and row["p95_ms"] <= (budget_p95_s or 1e9) * 1000
        else:
            row = {"p50_ms": round(found * 1000, 1)}
            ok = found <= budget_s
        row["budget_ms"] = budget_s * 1000
        if budget_p95_s is not None:
            row["budget_p95_ms"] = budget_p95_s * 1000
        rows[name] = row
        p95 = f"p95 {row['p95_ms']:>6.0f} ms" if "p95_ms" in row else ""
        verdict = "ok" if ok else "over"
        print(
            f"{name:<34}{row['p50_ms']:>8.0f} ms  {p95:<14}budget {row['budget_ms']:>6.0f} ms   {verdict}", flush=True
        )

    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?")
    parser.add_argument("--photo", type=Path, default=ROOT.parent / "shared" / "photos" / "astronaut.png")
    options = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    report = reporter(rows)
    with contextlib.ExitStack() as stack:
        address = options.address or stack.enter_context(served(warm_s=WARM_S)).address
        browser = stack.enter_context(chromium())
        size: Any = {"width": 1280, "height": 800}
        page = browser.new_page(viewport=size)
        measure(page, address, options.photo, report)
        page.close()
        page = browser.new_page(viewport=size)
        page.add_init_script(BLOCKED)
        open_face(page, address)
        report("slider to pixels, plain requests", page.evaluate(DRAG), 0.030, 0.060)
    write("page.json", {**environment(), "rows": rows})


if __name__ == "__main__":
    main()
