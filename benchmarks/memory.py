"""Measures whether the memory stays flat: ``python benchmarks/memory.py [--renders N]``.

Four visitors drag sliders of four faces, over the connection that the page uses, until the app has drawn N pictures
(10,000), and sometimes begin another face. Prints what the app's process takes on the way, and writes
``benchmarks/results/memory.json``. Wanted: not more than 5 % above what it took after the first tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from environment import environment  # noqa: E402
from serving import App, Visitor, served, write  # noqa: E402

VISITORS, STEPS, MAX_GROWTH = 4, 10, 0.05
WARM_S = 20.0


async def dragged(app: App, renders: int) -> list[dict[str, float]]:
    """What the app takes after each tenth."""
    rows = [{"renders": 0, "memory_mb": round(app.memory_mb(), 1)}]
    for step in range(STEPS):
        visitors = [Visitor(app, seed=step * VISITORS + i) for i in range(VISITORS)]  # new faces in new sessions
        await asyncio.gather(*(v.drag(frames=renders // STEPS // VISITORS) for v in visitors))
        done = rows[-1]["renders"] + sum(len(v.frames) for v in visitors)
        rows.append({"renders": done, "memory_mb": round(await at_rest(app), 1)})
        print(f"{done:>7.0f} pictures  {rows[-1]['memory_mb']:>8.1f} MB", flush=True)
    return rows


async def at_rest(app: App) -> float:
    """What the app takes when nothing is being drawn any more: the least of some moments."""
    await asyncio.sleep(1.0)
    found = []
    for _ in range(5):
        found.append(app.memory_mb())
        await asyncio.sleep(0.2)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=int, default=10_000)
    options = parser.parse_args()
    begun = time.perf_counter()
    with served(warm_s=WARM_S) as app:
        rows = asyncio.run(dragged(app, options.renders))
    growth = rows[-1]["memory_mb"] / rows[1]["memory_mb"] - 1
    flat = "flat" if growth <= MAX_GROWTH else "it grows"
    print(f"{growth:+.1%} after the first tenth, {time.perf_counter() - begun:.0f} s: {flat}")
    write("memory.json", {**environment(), "wanted_growth": MAX_GROWTH, "growth": round(growth, 4), "rows": rows})


if __name__ == "__main__":
    main()
