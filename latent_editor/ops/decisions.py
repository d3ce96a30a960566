"""Where the kernels are used: only where they beat plain PyTorch, as ``benchmarks/ops.py`` measured.

The ratios are PyTorch's time over the kernel's, medians of interleaved runs on two cores with AVX-512; all of them are
in ``benchmarks/results/ops.json`` and in ``docs/ops.md``.
"""

from __future__ import annotations

import torch

#: The precisions that a device's kernels know; all others run as references.
DTYPES = {
    "cpu": (torch.float32, torch.bfloat16),
    "cuda": (torch.float32, torch.float16, torch.bfloat16),
}

USED: dict[str, tuple[str, ...]] = {
    "cpu": ("upfirdn2d", "bias_act", "filtered_lrelu", "modulation_epilogue"),
    "cuda": ("upfirdn2d", "bias_act", "filtered_lrelu", "modulation_epilogue"),
}
