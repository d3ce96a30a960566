"""Measures eight users dragging sliders at the same time: ``python benchmarks/concurrent_users.py [--seconds S]``.

Seven of them speak the page's protocol from one process, one is the page in headless Chromium; eight browsers on two
cores would measure the browsers. Each kind is also measured alone. Prints frames per second for each user and the
latency from the newest slider values to their frame in milliseconds; writes
``benchmarks/results/concurrent_users.json``. Target: at least 8 frames per second for every user. Run it on idle cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from environment import environment  # noqa: E402
from page import open_face  # noqa: E402
from playwright.sync_api import Page  # noqa: E402
from serving import App, User, chromium, percentiles, served, write  # noqa: E402

USERS, MIN_RATE = 8, 8.0
WARM_S = 20.0

#: Drags a slider for some seconds; returns frames per second.
HAND = """async (seconds) => {
    const input = document.querySelector('.card input[type=range]');
    const image = document.querySelector('[data-hook=result]');
    let shown = 0;
    const loaded = () => { shown += 1; };
    image.addEventListener('load', loaded);
    const start = performance.now();
    while (performance.now() - start < 1000 * seconds) {
        input.value = 2 * Math.sin(performance.now() / 700);
        input.dispatchEvent(new Event('input', { bubbles: true }));
        await new Promise((later) => setTimeout(later, 1000 / 60));
    }
    image.removeEventListener('load', loaded);
    return shown / seconds;
}"""


def drag(app: App, users: int, seconds: float, outcome: Any) -> None:
    """Simulates users; runs in a process of its own."""

    async def drag_all() -> list[User]:
        found = [User(app, seed) for seed in range(users)]
        await asyncio.gather(*(user.drag(seconds=seconds) for user in found))
        return found

    results = asyncio.run(drag_all())
    outcome.put([{"rate": len(user.frames) / seconds, "waits": user.waits} for user in results])


def measured(app: App, users: int, seconds: float, page: Page | None = None) -> dict[str, Any]:
    """Measures simulated users, a page, or both at once."""
    row: dict[str, Any] = {"users": users + (page is not None)}
    outcome: Any = multiprocessing.get_context("spawn").SimpleQueue()
    others = multiprocessing.get_context("spawn").Process(target=drag, args=(app, users, seconds, outcome))
    if users:
        others.start()
        time.sleep(2.5)  # until they drag
    if page is not None:
        row["page_rate"] = round(page.evaluate(HAND, seconds - (4 if users else 0)), 1)
    if users:
        found = outcome.get()
        others.join(30)
        rates = sorted(round(v["rate"], 1) for v in found)
        row |= {"rates": rates, "slowest_rate": rates[0], **percentiles([w for v in found for w in v["waits"]])}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="for each case")
    seconds = parser.parse_args().seconds
    with served(warm_s=WARM_S) as app, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        open_face(page, app.address)
        rows = {
            "one user": measured(app, 1, seconds),
            "one page": measured(app, 0, seconds, page),
            "eight users": measured(app, USERS, seconds),
            "a page and seven users": measured(app, USERS - 1, seconds, page),
        }
    crowded = rows["a page and seven users"]
    slowest = min(rows["eight users"]["slowest_rate"], crowded["slowest_rate"], crowded["page_rate"])
    print(f"slowest of eight: {slowest:.1f} frames per second; target {MIN_RATE:g}")
    found = {"seconds": seconds, "wanted_rate": MIN_RATE, "slowest_rate": slowest, "rows": rows}
    write("concurrent_users.json", {**environment(), **found})


if __name__ == "__main__":
    main()
