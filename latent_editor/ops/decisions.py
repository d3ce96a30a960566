"""Where the kernels are used: only where they beat plain PyTorch, as ``benchmarks/ops.py`` measured."""

from __future__ import annotations

import torch

#: The precisions that a device's kernels know; all others run as references.
DTYPES = {
    "cpu": (torch.float32, torch.bfloat16),
    "cuda": (torch.float32, torch.float16, torch.bfloat16),
}

#: PyTorch's time over the kernel's: medians over sizes, precisions and memory orders, for values and with gradients
#: (None: these run as the reference). Two cores with AVX-512, PyTorch 2.13; all figures in benchmarks/results/ops.json.
#: An operation below 1 is not used there. No GPU was at hand when the CUDA kernels were written: they are used because
#: each replaces several passes over memory by one, and only after the check of a build has passed on the GPU itself.
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

#: Operations whose kernels want more than every processor has; elsewhere their parts run.
OPTIONAL = ("modulated_conv", "to_rgb")

USED: dict[str, tuple[str, ...]] = {
    device: tuple(op for op, ratios in ops.items() if ratios is None or ratios[0] > 1)
    for device, ops in MEASURED.items()
}
