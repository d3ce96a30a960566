"""Measures whether memory use stays flat: ``python benchmarks/memory.py [--renders N]``.

Four simulated users drag sliders of changing faces over the frame socket, until the app has drawn N pictures (10,000).
Prints the resident memory of the app after each tenth, and writes ``benchmarks/results/memory.json``. Target: at most
5% more than after the first tenth.
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
from serving import App, User, served, write  # noqa: E402

USERS, STEPS, MAX_GROWTH = 4, 10, 0.05
WARM_S = 20.0


async def measure(app: App, renders: int) -> list[dict[str, float]]:
    """Memory use after each tenth of the renders."""
    rows = [{"renders": 0, "memory_mb": round(app.memory_mb(), 1)}]
    for step in range(STEPS):
        users = [User(app, seed=step * USERS + i) for i in range(USERS)]  # new faces in new sessions
        await asyncio.gather(*(user.drag(frames=renders // STEPS // USERS) for user in users))
        done = rows[-1]["renders"] + sum(len(user.frames) for user in users)
        rows.append({"renders": done, "memory_mb": round(await at_rest(app), 1)})
        print(f"{done:>7.0f} pictures  {rows[-1]['memory_mb']:>8.1f} MB", flush=True)
    return rows


async def at_rest(app: App) -> float:
    """Memory use while nothing is drawn: the minimum of a few readings."""
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
    start = time.perf_counter()
    with served(warm_s=WARM_S) as app:
        rows = asyncio.run(measure(app, options.renders))
    growth = rows[-1]["memory_mb"] / rows[1]["memory_mb"] - 1
    flat = "flat" if growth <= MAX_GROWTH else "growing"
    print(f"{growth:+.1%} after the first tenth, {time.perf_counter() - start:.0f} s: {flat}")
    write("memory.json", {**environment(), "wanted_growth": MAX_GROWTH, "growth": round(growth, 4), "rows": rows})


if __name__ == "__main__":
    main()
