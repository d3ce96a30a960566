"""Benchmarks rendering against lower bounds and a reference: ``python benchmarks/rendering.py``, about three minutes.

Renders the embedded model and a randomly initialized FFHQ-1024, in float32 and bfloat16, with batches of one and eight
(of FFHQ-1024 eight only with ``--all``). In alternation it measures

- the limit: the FLOPs of the network's convolutions at the rate of large matrix products of that precision;
- the floor: the network's convolutions alone, as PyTorch runs them in channels_last order, in the fastest precision;
- plain PyTorch: this project's code without its kernels, in the fastest precision;
- the reference: the published definition, float32 in NCHW order, with modulated weights for each sample and one grouped
  convolution, then ``upfirdn2d`` in plain PyTorch (batch one only);
- an edit of the later half of the layers, with cached activations of the first half.

The cases alternate, so that other load on the machine affects all of them; compare ratios of medians, and CPU time,
which other processes do not lengthen. The results go to ``benchmarks/results/rendering.json``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import functools
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from environment import environment
from torch import Tensor

from latent_editor.generators import construction, load_generator, random_ws
from latent_editor.generators.modulation import ModulatedConv, ToRGB
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.ops import kernels
from latent_editor.ops.upfirdn2d import upfirdn2d_reference
from latent_editor.rendering import Renderer
from latent_editor.runtime.malloc import keep_freed_memory

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "rendering.json"

FFHQ = {
    "z_dim": 512, "w_dim": 512, "img_resolution": 1024, "channel_base": 32768, "channel_max": 512, "conv_clamp": 256,
}  # fmt: skip
#: Side of the matrices that measure the GEMM rate; timeout for building the kernels, in seconds.
GEMM_SIDE, BUILD_S = 2048, 180
#: Cases faster than this run once untimed in each turn, to warm the caches.
WARMED_MS = 100.0
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def generators() -> dict[str, StyleGAN2]:
    embedded = load_generator("portraits")
    assert isinstance(embedded, StyleGAN2)
    ffhq = construction.random("stylegan2", FFHQ)
    assert isinstance(ffhq, StyleGAN2)
    found = {f"embedded {embedded.size_px}²": embedded, "FFHQ 1024²": ffhq}
    for g in found.values():
        g.eval().requires_grad_(False)
    for name, parameter in ffhq.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.1)  # as in a trained network: at 0 the noise could be skipped
    return found


def operations(g: StyleGAN2) -> float:
    """FLOPs of the convolutions of one image."""
    total = 0.0
    for resolution, _, block in g.synthesis.blocks():
        for layer in block.children():
            if isinstance(layer, ModulatedConv | ToRGB):
                pixels = (resolution // getattr(layer, "up", 1)) ** 2
                total += 2.0 * layer.weight.numel() * pixels
    return total


def reference(g: StyleGAN2, ws: Tensor) -> Tensor:
    """Synthesis by the published definition (Karras et al. 2020, eq. 1 and 3): float32, NCHW, grouped convolutions."""
    n = len(ws)
    _, _, block = next(g.synthesis.blocks())
    x, image = block.const.expand(n, -1, -1, -1).contiguous(), None
    for resolution, first, block in g.synthesis.blocks():
        f = block.resample_filter
        layers = [block.conv1] if resolution == 4 else [block.conv0, block.conv1]
        for i, layer in enumerate(layers, start=first):
            x = _modulated(x, layer.weight, layer.affine(ws[:, i]), f, up=layer.up, demodulate=True)
            x = x + layer.noise_const * layer.noise_strength
            x = F.leaky_relu(x + layer.bias[:, None, None], 0.2) * math.sqrt(2)
            x = x if layer.clamp is None else x.clamp(-layer.clamp, layer.clamp)
        rgb = block.torgb
        styles = rgb.affine(ws[:, first + len(layers)]) / math.sqrt(rgb.weight[0].numel())
        y = _modulated(x, rgb.weight, styles, f, up=1, demodulate=False) + rgb.bias[:, None, None]
        y = y if rgb.clamp is None else y.clamp(-rgb.clamp, rgb.clamp)
        image = y if image is None else y + upfirdn2d_reference(image, f, (2, 2), (1, 1), (2, 1, 2, 1), gain=4)
    assert image is not None
    return image


def _modulated(x: Tensor, weight: Tensor, styles: Tensor, f: Tensor, *, up: int, demodulate: bool) -> Tensor:
    n, (outputs, inputs, k, _) = len(x), weight.shape
    w = weight * styles[:, None, :, None, None]  # [N, O, I, k, k]
    if demodulate:
        w = w * (w.square().sum(dim=[2, 3, 4], keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, n * inputs, *x.shape[2:])
    if up == 1:
        x = F.conv2d(x, w.reshape(-1, inputs, k, k), padding=k // 2, groups=n)
    else:
        x = F.conv_transpose2d(x, w.transpose(1, 2).reshape(-1, outputs, k, k), stride=2, groups=n)
        x = upfirdn2d_reference(x, f, (1, 1), (1, 1), (1, 1, 1, 1), gain=4)
    return x.reshape(n, outputs, *x.shape[2:])


def convolutions(g: StyleGAN2, n: int, dtype: torch.dtype) -> list[Callable[[], Tensor]]:
    """The network's convolutions alone, for n images, each with its own input."""
    calls: list[Callable[[], Tensor]] = []
    for resolution, _, block in g.synthesis.blocks():
        for layer in block.children():
            if not isinstance(layer, ModulatedConv | ToRGB):
                continue
            up = getattr(layer, "up", 1)
            kernel = layer.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
            size = resolution // up
            x = torch.randn(n, kernel.shape[1], size, size, device=g.device).to(dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            if up == 2:
                calls.append(functools.partial(F.conv_transpose2d, x, kernel.transpose(0, 1), stride=2))
            else:
                calls.append(functools.partial(F.conv2d, x, kernel, padding=kernel.shape[-1] // 2))
    return calls


def without_kernels(run: Callable[[], object]) -> object:
    """Calls ``run`` with the reference implementations in place of the kernels."""
    libraries = [kernels.kernels_for(device) for device in kernels.DEVICES]
    before = [library.ready for library in libraries]
    try:
        for library in libraries:
            library.ready = False
        return run()
    finally:
        for library, ready in zip(libraries, before, strict=True):
            library.ready = ready


def in_turns(cases: dict[str, Callable[[], object]], seconds: float, least: int) -> dict[str, dict[str, float]]:
    """Median and minimum milliseconds of each case, and median CPU time over all threads.

    Short cases run twice a turn and only the second run counts: the caches are also warm while a slider is dragged.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    busy: dict[str, list[float]] = {name: [] for name in cases}
    began, turn = time.perf_counter(), 0
    while turn <= least or time.perf_counter() - began < seconds:
        for name, run in cases.items():
            if not times[name] or times[name][-1] < WARMED_MS:
                run()
            start, start_busy = time.perf_counter(), time.process_time()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3)
                busy[name].append((time.process_time() - start_busy) * 1e3)
        turn += 1
    return {
        name: {"median_ms": statistics.median(t), "least_ms": min(t), "cpu_ms": statistics.median(busy[name])}
        for name, t in times.items()
    }


def measure(name: str, g: StyleGAN2, batch: int, seconds: float) -> list[dict[str, Any]]:
    """Measures one network and batch size in each precision, in alternation."""
    ws = random_ws(g, list(range(batch)))
    cases: dict[str, Callable[[], object]] = {}
    for short, dtype in DTYPES.items():
        a, b = (torch.randn(GEMM_SIDE, GEMM_SIDE, device=g.device).to(dtype) for _ in range(2))
        cases[f"gemm {short}"] = functools.partial(torch.matmul, a, b)
        cases[short] = functools.partial(g.synthesize, ws, dtype=dtype)
    fastest = fastest_dtype(g.device)
    alone = convolutions(g, batch, fastest)
    cases["floor"] = lambda: [call() for call in alone]
    cases["plain"] = lambda: without_kernels(lambda: g.synthesize(ws, dtype=fastest))
    if batch == 1:
        cases["reference"] = lambda: reference(g, ws)
        renderer = Renderer(g)
        cases["edit"] = lambda: renderer.render_tensor(_edited(ws))
    found = in_turns(cases, seconds, 3)
    rows = []
    for short, dtype in DTYPES.items():
        own, gemm = found[short], found[f"gemm {short}"]
        share = operations(g) * batch / (2.0 * GEMM_SIDE**3)  # the network's FLOPs in units of one matrix product
        row = {
            "model": name,
            "precision": short,
            "batch": batch,
            **{k: round(v, 2) for k, v in own.items()},
            "gemm_gflops": round(2.0 * GEMM_SIDE**3 / gemm["median_ms"] / 1e6),
            "limit_ms": round(gemm["median_ms"] * share, 2),
            "times_the_limit": round(own["median_ms"] / (gemm["median_ms"] * share), 2),
            "times_the_limit_cpu": round(own["cpu_ms"] / (gemm["cpu_ms"] * share), 2),
        }
        if batch == 1:
            row |= {"reference_ms": round(found["reference"]["median_ms"], 1)}
            row |= {"faster_than_reference": round(found["reference"]["median_ms"] / own["median_ms"], 2)}
        if dtype == fastest:
            row |= {f"{kind}_ms": round(found[kind]["median_ms"], 2) for kind in ("floor", "plain")}
            row |= {"edit_ms": round(found["edit"]["median_ms"], 2)} if batch == 1 else {}
        rows.append(row)
        print_row(row)
    return rows


def _edited(ws: Tensor) -> Tensor:
    """Changes the later half of the layers at random."""
    half = ws.shape[1] // 2
    return torch.cat([ws[:, :half], ws[:, half:] + torch.randn_like(ws[:, half:]) * 0.1], dim=1)


def print_row(row: dict[str, Any]) -> None:
    shown = f"{row['model']:<14} {row['precision']}  batch {row['batch']} {row['median_ms']:9.1f} ms"
    shown += f"   limit {row['limit_ms']:7.1f} ms ({row['gemm_gflops']} GFLOP/s)"
    shown += f"   {row['times_the_limit']:5.2f} × the limit ({row['times_the_limit_cpu']:.2f} × in processor time)"
    for key in ("floor", "plain", "reference", "edit"):
        shown += f"   {key} {row[f'{key}_ms']:.1f} ms" if f"{key}_ms" in row else ""
    if "faster_than_reference" in row:
        shown += f"   {row['faster_than_reference']:.1f} × faster than the reference"
    print(shown, flush=True)


def wait_for_kernels() -> str:
    """Requests the CPU kernels, waits until they are built, and returns their state."""
    library = kernels.kernels_for("cpu")
    library.request()
    if library.thread is not None:
        library.thread.join(BUILD_S)
    return library.state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also FFHQ-1024 with batch eight")
    parser.add_argument("--seconds", type=float, default=15, help="for each network and batch, at least three turns")
    options = parser.parse_args()
    torch.set_num_threads(min(os.cpu_count() or 2, 2))
    torch.manual_seed(0)
    kept, state = keep_freed_memory(), wait_for_kernels()
    rows: list[dict[str, Any]] = []
    for name, g in generators().items():  # built outside of inference mode, as in the app
        with torch.inference_mode():
            ws = random_ws(g, [0])
            exact = g.synthesize(ws)
            error = (reference(g, ws) - exact).abs().max() / exact.abs().max()
            if error > 1e-4:
                raise SystemExit(f"The reference and the network differ by {error:.1e} of the largest value.")
            for batch in (1, 8) if g.size_px < 1024 or options.all else (1,):
                rows += measure(name, g, batch, options.seconds)
    report = {
        **environment(kernels=state, keeps_memory=kept),
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
