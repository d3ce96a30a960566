"""Measures where batching pays: ``python benchmarks/batching.py [--seconds S]``.

Renders batches of one to eight pictures in the fastest precision, with the embedded model and with StyleGAN2s of random
weights, and divides the time of a batch by that of as many single pictures (below 1: the batch is faster). Batch sizes
alternate, so that load on the machine affects all of them. Also prints the batch size that
``ui/service/frame_renderer.py`` uses, and writes ``benchmarks/results/batching.json``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from environment import environment
from rendering import wait_for_kernels
from serving import write

from latent_editor.generators import Generator, construction, load_generator, random_ws
from latent_editor.rendering import render_tensor
from latent_editor.ui.service.frame_renderer import max_batch

ROOT = Path(__file__).resolve().parent.parent

COUNTS = (1, 2, 4, 8)
#: Size, channel_base and channel_max of networks with random weights: as wide as the embedded one, and as FFHQ's.
SHAPES = ((256, 4096, 128), (256, 16384, 512), (512, 16384, 512), (1024, 32768, 512))


def generators() -> dict[str, Generator]:
    embedded = load_generator("portraits")
    found = {f"embedded {embedded.size_px}²": embedded}
    for size, base, channels in SHAPES:
        shape = {"z_dim": 128, "w_dim": 128, "img_resolution": size, "channel_base": base, "channel_max": channels}
        g = construction.random("stylegan2", {**shape, "conv_clamp": 256}).eval().requires_grad_(False)
        found[f"{size}², base {base}"] = g
    return found


def measure(g: Generator, seconds: float) -> dict[str, Any]:
    """Milliseconds for each batch size, and the time for one picture relative to a single one."""
    ws = random_ws(g, list(range(max(COUNTS))))
    counts = COUNTS if g.size_px <= 512 else COUNTS[:2]
    times: dict[int, list[float]] = {n: [] for n in counts}
    start_s, turn = time.perf_counter(), 0
    while turn < 4 or time.perf_counter() - start_s < seconds:
        for n in counts:
            start = time.perf_counter()
            render_tensor(g, ws[:n])
            if turn:  # the first turn warms up
                times[n].append(1e3 * (time.perf_counter() - start))
        turn += 1
    one = statistics.median(times[1])
    return {
        "ms": {n: round(statistics.median(t), 1) for n, t in times.items()},
        "of_single": {n: round(statistics.median(t) / n / one, 2) for n, t in times.items()},
        "drawn_together": max_batch(g),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=10, help="per network, at least three turns (default: %(default)g)"
    )
    options = parser.parse_args()
    torch.set_num_threads(min(os.cpu_count() or 2, 2))
    state = wait_for_kernels()
    rows = {}
    for name, g in generators().items():
        rows[name] = row = measure(g, options.seconds)
        shares = "  ".join(f"{n}: {share:.2f}" for n, share in row["of_single"].items())
        print(f"{name:<20} one {row['ms'][1]:>8.1f} ms   {shares}   batch {row['drawn_together']}", flush=True)
    write("batching.json", {**environment(kernels=state), "rows": rows})


if __name__ == "__main__":
    main()
