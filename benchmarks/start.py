"""Measures the start-up time: ``python benchmarks/start.py``.

From the start of the process until the app answers, until its page is usable in an already running Chromium, and until
the first frame of a face is on the screen. Once as on a new computer (nothing prepared, no kernels built, but a warm
file cache) and twice after that. Writes ``benchmarks/results/start.json``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from environment import environment  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402
from serving import chromium, served, write  # noqa: E402

BUILD_S = 45.0  # for building the kernels after the first start


def started(browser: Browser, cache: str, stay_s: float) -> dict[str, float]:
    with served(poll_s=0.02, LATENT_EDITOR_CACHE=cache) as app:
        row = {"answers_s": time.perf_counter() - app.started}
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(app.address)
        page.wait_for_selector(".le[data-view=start]")
        row["page_usable_s"] = time.perf_counter() - app.started
        page.locator("[data-hook=random]").click()
        page.wait_for_function("document.querySelector('[data-hook=result]').naturalWidth > 0", polling=10)
        row["first_frame_s"] = time.perf_counter() - app.started
        row["memory_mb"] = app.memory_mb()
        page.close()
        time.sleep(stay_s)
    return {name: round(value, 2) for name, value in row.items()}


def main() -> None:
    rows = {}
    with tempfile.TemporaryDirectory() as cache, chromium() as browser:
        for name, stay_s in (("first start", BUILD_S), ("second start", 0.0), ("third start", 0.0)):
            rows[name] = started(browser, cache, stay_s)
            print(f"{name:<14}" + "".join(f"{key} {value:<10}" for key, value in rows[name].items()), flush=True)
    write("start.json", {**environment(), "rows": rows})


if __name__ == "__main__":
    main()
