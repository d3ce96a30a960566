"""Which operations use a compiled kernel: those that ``benchmarks/ops.py`` measured to beat plain PyTorch."""

from __future__ import annotations

import torch

#: Dtypes that the kernels of a device support; others run the reference.
DTYPES = {
    "cpu": (torch.float32, torch.bfloat16),
    "cuda": (torch.float32, torch.float16, torch.bfloat16),
}

#: Speedup over plain PyTorch: median over sizes, dtypes and memory formats, of the forward pass and with gradients
#: (None: gradients run the reference). Two cores with AVX-512, PyTorch 2.13; details in benchmarks/results/ops.json.
#: A kernel with a speedup below 1 is not used. The CUDA kernels were not benchmarked: they are used because each
#: replaces several passes over memory with one, and only after a new build has passed its check on the GPU itself.
MEASURED: dict[str, dict[str, tuple[float, float | None] | None]] = {
    "cpu": {
        "upfirdn2d": (2.7, 1.8),
        "bias_act": (3.6, 1.5),
        "filtered_lrelu": (13.7, None),
        "modulation_epilogue": (3.6, 3.0),
        "modulated_conv": (2.6, None),
        "to_rgb": (2.9, None),
        "modulation_styles": (1.7, None),
    },
    "cuda": {"upfirdn2d": None, "bias_act": None, "filtered_lrelu": None, "modulation_epilogue": None},
}

#: Operations whose kernels need instructions that not every CPU has; other CPUs run the separate operations.
OPTIONAL = ("modulated_conv", "to_rgb")

USED: dict[str, tuple[str, ...]] = {
    device: tuple(op for op, ratios in ops.items() if ratios is None or ratios[0] > 1)
    for device, ops in MEASURED.items()
}
