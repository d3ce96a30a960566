"""Benchmarks the kernels against plain PyTorch: ``python benchmarks/ops.py``, three minutes (``--quick``: one).

Kernel and reference alternate, so that other load on the machine affects both; compare medians and their ratio. The
results go to ``benchmarks/results/ops.json`` and are the basis of ``latent_editor/ops/kernel_selection.py``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from environment import environment
from torch import Tensor

from latent_editor import ops
from latent_editor.generators.modulation import ModulatedConv, ToRGB
from latent_editor.generators.stylegan2_config import StyleGAN2Config
from latent_editor.generators.stylegan3_filters import low_pass
from latent_editor.ops import building, kernels
from latent_editor.ops.kernel_selection import DTYPES, USED
from latent_editor.runtime.malloc import keep_freed_memory

os.environ.pop("LATENT_EDITOR_OPS", None)
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "ops.json"

#: Channels and resolution of layers: FFHQ at 1024², 256² and 64², the embedded model at 128² and 32².
SHAPES = ((32, 1024), (128, 256), (512, 64), (32, 128), (128, 32))
#: Time limit for one case, in seconds, and the minimum number of turns.
BUDGET_S, MIN_TURNS = 1.0, 5
#: Layers of FFHQ and of the embedded model: input channels, output channels, input resolution, upsampling factor.
LAYERS = (
    (512, 512, 4, 1), (512, 512, 32, 1), (512, 512, 32, 2), (128, 128, 256, 1), (128, 64, 256, 2), (32, 32, 1024, 1),
    (32, 32, 128, 1), (64, 32, 64, 2),
)  # fmt: skip

Case = tuple[str, str, Callable[[], object]]


def pictures(device: torch.device) -> Iterator[tuple[str, Tensor]]:
    for dtype in DTYPES[device.type]:
        for order, name in ((torch.channels_last, "channels_last"), (torch.contiguous_format, "NCHW")):
            for channels, size in SHAPES:
                x = torch.randn(1, channels, size, size, device=device).to(dtype).contiguous(memory_format=order)
                yield f"{str(dtype)[6:]} {name} {channels} × {size}²", x


def forward(device: torch.device) -> Iterator[Case]:
    """The operations with the arguments that rendering uses."""
    f = ops.setup_filter([1, 3, 3, 1])
    assert f is not None
    f = f.to(device)
    for what, x in pictures(device):
        c, size = x.shape[1:3]
        scale, b = torch.rand(1, c, device=device) + 0.5, torch.randn(c, device=device)
        noise, smaller = torch.randn(size, size, device=device), torch.randn(size - 1, size - 1, device=device)
        yield "bias_act", what, lambda x=x, b=b: ops.bias_act(x, b, act="lrelu", clamp=256)
        yield "upfirdn2d", f"filter {what}", lambda x=x: ops.upfirdn2d(x, f, padding=1, gain=4)
        yield (
            "modulation_epilogue", what,
            lambda x=x, s=scale, b=b, n=noise: ops.modulation_epilogue(x, s, b, n, clamp=256.0),
        )  # fmt: skip
        yield (
            "modulation_epilogue", f"with the filter {what}",
            lambda x=x, s=scale, b=b, n=smaller: ops.modulation_epilogue(x, s, b, n, f=f, padding=1, filter_gain=4),
        )  # fmt: skip
    for size in (512, 64):
        image = torch.randn(1, 3, size, size, device=device)
        yield "upfirdn2d", f"float32 NCHW 3 × {size}² to twice the size", lambda x=image: ops.upsample2d(x, f)
        yield "upfirdn2d", f"float32 NCHW 3 × {size}² to half the size", lambda x=image: ops.downsample2d(x, f)
    low = low_pass(12, cutoff=60.0, width=40.0, rate=512.0).to(device)
    for dtype in DTYPES[device.type]:
        x = torch.randn(1, 64, 148, 148, device=device).to(dtype)
        yield (
            "filtered_lrelu", f"{str(dtype)[6:]} NCHW 64 × 148²",
            lambda x=x: ops.filtered_lrelu(x, low, low, None, up=2, down=2, padding=(10, 11)),
        )  # fmt: skip


def layers(device: torch.device) -> Iterator[Case]:
    """Whole layers: a single kernel call, or the separate operations in plain PyTorch."""
    if device.type != "cpu":
        return
    f = ops.setup_filter([1, 3, 3, 1])
    assert f is not None
    for inputs, outputs, size, up in LAYERS:
        config = StyleGAN2Config(z_dim=512, w_dim=512, img_resolution=size * up, conv_clamp=256)
        layer = ModulatedConv(inputs, outputs, size * up, config, up=up).requires_grad_(False)
        for batch in (1, 8) if size <= 128 else (1,):
            x = torch.randn(batch, inputs, size, size).bfloat16().contiguous(memory_format=torch.channels_last)
            w = torch.randn(batch, 512)
            what = f"{batch} × {inputs} × {size}² to {outputs} × {size * up}²"
            yield "modulated_conv", what, lambda layer=layer, x=x, w=w: layer(x, w, f, "const")
            what = f"{batch} × 512 to {inputs} and {outputs}"
            yield "modulation_styles", what, lambda layer=layer, w=w: layer._styles(w, False)
        rgb = ToRGB(inputs, config).requires_grad_(False)
        x, w = x[:1], w[:1]
        image = torch.randn(1, 3, size // 2, size // 2)
        what = f"{inputs} × {size}²"
        yield "to_rgb", what, lambda rgb=rgb, x=x, w=w, image=image: rgb(x, w, image, f)


def backward(device: torch.device) -> Iterator[Case]:
    """Forward and backward pass, as in training and inversion."""
    for what, x in pictures(device):
        c, size = x.shape[1:3]
        if size > 256:
            continue
        tensors = [x, torch.rand(1, c, device=device) + 0.5, torch.randn(c, device=device)]
        x, scale, b = (t.requires_grad_(True) for t in tensors)
        f = torch.ones(4, 4, device=device) / 16

        def gradients(y: Tensor, *inputs: Tensor) -> object:
            return torch.autograd.grad(y, inputs, torch.ones_like(y))

        yield "upfirdn2d", f"gradients {what}", lambda x=x, f=f: gradients(ops.upfirdn2d(x, f, padding=2), x)
        yield "bias_act", f"gradients {what}", lambda x=x, b=b: gradients(ops.bias_act(x, b, act="lrelu"), x, b)
        yield (
            "modulation_epilogue", f"gradients {what}",
            lambda x=x, s=scale, b=b: gradients(ops.modulation_epilogue(x, s, b, clamp=256.0), x, s, b),
        )  # fmt: skip


def measured(run: Callable[[], object], library: kernels.Kernels, turns: int) -> tuple[float, float]:
    """Median times of the reference and of the kernel, in milliseconds."""
    times: dict[bool, list[float]] = {False: [], True: []}
    started = time.perf_counter()
    for turn in range(turns + 1):
        for fused in (False, True):
            library.ready = fused
            begun = time.perf_counter()
            run()
            if library.device == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first turn warms the caches
                times[fused].append(time.perf_counter() - begun)
        if turn >= MIN_TURNS and time.perf_counter() - started > BUDGET_S:
            break
    library.ready = True
    return statistics.median(times[False]) * 1e3, statistics.median(times[True]) * 1e3


def run(device: torch.device, turns: int) -> list[dict[str, object]]:
    building.build(building.plan_for(device.type))
    library = kernels.kernels_for(device.type)
    if library.status().state != kernels.READY:
        raise SystemExit(f"There are no kernels: {library.reason}.")
    rows: list[dict[str, object]] = []
    for cases, recorded in ((layers, False), (forward, False), (backward, True)):
        for op, what, call in cases(device):
            if not kernels.registered(op, device.type):
                continue
            with torch.set_grad_enabled(recorded):
                reference, kernel = measured(call, library, turns)
            row = {"op": op, "case": what, "reference_ms": round(reference, 3), "kernel_ms": round(kernel, 3)}
            rows.append({**row, "ratio": round(reference / kernel, 2), "used": op in USED[device.type]})
            print(f"{op:<20} {what:<52} {reference:9.3f} {kernel:9.3f} ms  {reference / kernel:6.2f} ×", flush=True)
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, dict[str, float]]:
    """Minimum, median and maximum speedup of each operation, with and without gradients."""
    found: dict[str, list[float]] = {}
    for row in rows:
        kind = "gradients" if "gradients" in str(row["case"]) else "values"
        found.setdefault(f"{row['op']}, {kind}", []).append(float(str(row["ratio"])))
    return {k: {"least": min(v), "median": statistics.median(v), "greatest": max(v)} for k, v in found.items()}


def main() -> None:
    turns = MIN_TURNS if "--quick" in sys.argv else 41
    torch.set_num_threads(min(os.cpu_count() or 2, 2))
    torch.manual_seed(0)
    keep_freed_memory()
    devices = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    found = {device.type: run(device, turns) for device in devices}
    report = {
        **environment(gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None),
        "summary": {device: summary(rows) for device, rows in found.items()},
        "cases": found,
    }
    RESULTS.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report["summary"], indent=1))


if __name__ == "__main__":
    main()
