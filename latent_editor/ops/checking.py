"""Compares a compiled library with the references: ``python -m latent_editor.ops.checking cpu kernels.so``.

Runs in its own process, because a miscompiled library may crash.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from latent_editor.ops import kernels, library
from latent_editor.ops.kernel_selection import DTYPES, OPTIONAL, USED
from latent_editor.ops.modulated_conv import pack_weight
from latent_editor.ops.styles import modulation_styles_reference

#: Maximum difference, relative to the largest value.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.01, torch.float16: 0.002}


def cases(device: str, dtype: torch.dtype) -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """Operations with their references and arguments, in both memory formats, with odd sizes."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    f, taps, skewed = noise(4, 4).abs(), noise(12), noise(3, 5)
    scale, b, grain = noise(2, 5).abs(), noise(5), noise(2, 1, 9, 7)
    for order in (torch.contiguous_format, torch.channels_last):
        x = noise(2, 5, 9, 7).to(dtype).contiguous(memory_format=order)
        for g, padding in ((f.new_tensor([1.0, 3, 3, 1]).outer(f.new_tensor([1.0, 3, 3, 1])), [2, 1, 2, 1]),
                           (taps, [9, 8, 7, 10]), (skewed, [3, -1, 4, 2]), (None, [1, 0, 0, 1])):  # fmt: skip
            for up, down in (([1, 1], [1, 1]), ([2, 2], [1, 1]), ([1, 1], [2, 2]), ([2, 3], [3, 1])):
                yield "upfirdn2d", library._upfirdn2d, (x, g, up, down, padding, False, 1.5)
        for fu, fd, finer, coarser in (
            (taps, taps.flip(0), 2, 2),
            (noise(6), f, 4, 2),
            (None, taps, 1, 3),
            (taps, None, 2, 1),
        ):
            x_padding = [9, 10, 11, 8] if fu is not None else [12, 11, 10, 9]
            yield "filtered_lrelu", library._filtered_lrelu, (
                x, fu, fd, b, finer, coarser, x_padding, 1.4, 0.2, 0.7, False,
            )  # fmt: skip
        for act in range(len(library.NAMES)):
            yield "bias_act", library._bias_act, (x, b, 1, act, 0.2, 1.5, 1.0)
        for act in (library.NAMES.index("lrelu"), library.NAMES.index("tanh")):
            arguments = (act, 0.2, 1.5, 1.0)
            inputs = (x, scale, b, grain)
            yield "modulation_epilogue", library._epilogue, (*inputs, None, [0] * 4, 1.0, *arguments)
            yield "modulation_epilogue", library._epilogue, (*inputs, f, [2, 1, 1, 2], 4.0, *arguments)
        y = library._epilogue(x, scale, b, grain, None, [0] * 4, 1.0, 2, 0.2, 1.5, 1.0)
        dy = noise(2, 5, 9, 7).to(dtype).contiguous(memory_format=order)
        yield "modulation_epilogue_backward", library._epilogue_backward, (dy, y, x, scale, 2, 0.2, 1.5, 1.0)
    for w, energies in ((noise(2, 37), noise(11, 6).square()), (noise(1, 512), None)) if device == "cpu" else ():
        weight = noise(6, w.shape[1])
        yield "modulation_styles", modulation_styles_reference, (w, weight, noise(6), energies, 0.5, 2.0, 1.5)


def convolutions(device: str, dtype: torch.dtype) -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """Modulated convolutions and ToRGB layers of odd sizes, whose kernels only support bfloat16."""
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    f = noise(4).abs()
    for n, inputs, outputs, height, width in ((2, 5, 18, 9, 7), (1, 70, 35, 4, 140), (1, 32, 64, 34, 16)):
        if dtype != torch.bfloat16 or device != "cpu":
            return
        x = noise(n, inputs, height, width).to(dtype).contiguous(memory_format=torch.channels_last)
        weight = pack_weight(noise(outputs, inputs, 3, 3) / (3 * inputs**0.5))
        factors = noise(n, inputs).abs(), noise(n, outputs).abs(), noise(outputs)
        for act, taps in ((2, f.outer(f) / f.sum() ** 2), (1, None)):
            up = 1 if taps is None else 2
            for grain in (None, noise(height * up, width * up), noise(n, 1, height * up, width * up)):
                yield "modulated_conv", library._modulated_conv, (
                    x, weight, *factors, grain, taps, act, 0.2, 1.5, 4.0,
                )  # fmt: skip
        rgb_weights = pack_weight(noise(3, inputs, 1, 1) / inputs**0.5), factors[0], noise(3)
        small = noise(n, 3, height // 2, width // 2)
        for image in (None, small) if height % 2 == 0 == width % 2 else (None,):
            for taps in (f.outer(f) / f.sum() ** 2, noise(9) / 3):
                yield "to_rgb", library._to_rgb, (x, *rgb_weights, image, taps, 4.0)


def difference(got: Any, want: Any, dtype: torch.dtype) -> float:
    """Maximum difference of a result in ``dtype`` from the float32 reference, relative to the largest value."""
    if not isinstance(want, Tensor):
        return max(difference(g, w, dtype) for g, w in zip(got, want, strict=True))
    if got.shape != want.shape or got.dtype not in (dtype, torch.float32) or got.stride() != want.stride():
        return float("inf")
    if want.numel() == 0:
        return 0.0
    error = (got.double() - want.double()).abs().max() / want.double().abs().max().clamp(min=1e-30)
    return float(error) if bool(error.isfinite()) else float("inf")


def check(
    device: str, path: str, dtypes: Sequence[torch.dtype] | None = None, needed: Sequence[str] | None = None
) -> str | None:
    """Loads the library and compares it with the references.

    Args:
        device: "cpu" or "cuda".
        path: The library.
        dtypes: The dtypes to check; None for all that the kernels support.
        needed: Required operations; None for those used on the device.

    Returns:
        A description of the first error, or None.
    """
    torch.ops.load_library(path)
    for dtype in dtypes or DTYPES[device]:
        for name, reference, arguments in (*cases(device, dtype), *convolutions(device, dtype)):
            if not kernels.registered(name, device):
                if name in (USED[device] if needed is None else needed) and name not in OPTIONAL:
                    return f"{name} is missing in the library"
                continue
            exact = [a.float() if isinstance(a, Tensor) else a for a in arguments]
            got = getattr(torch.ops.latent_editor, name)(*arguments)
            error = difference(got, reference(*exact), dtype)
            if error > TOLERANCE[dtype]:
                return f"{name} in {dtype} differs from the reference by {error:.2g}"
    return None


def main(words: Sequence[str]) -> int:
    """Returns 0 if all operations are correct."""
    with torch.inference_mode():
        wrong = check(words[0], words[1])
    if wrong is not None:
        print(wrong, file=sys.stderr)
    return 0 if wrong is None else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
