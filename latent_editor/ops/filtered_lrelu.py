"""A leaky ReLU that makes no frequencies above the limit of its grid (Karras et al. 2021, §3.2 and appendix C.4)."""

from __future__ import annotations

import math

from torch import Tensor

from latent_editor.ops.bias_act import bias_act
from latent_editor.ops.upfirdn2d import Pair, upfirdn2d


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: Pair = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
) -> Tensor:
    """Adds a bias, upsamples, applies a leaky ReLU on the finer grid, and downsamples.

    1. Add ``b`` to the channels.
    2. Upsample: insert ``up − 1`` zeros after every pixel.
    3. Pad with zeros, or crop where the padding is negative.
    4. Convolve with ``fu · up²``, so that the brightness stays (correlate if ``flip_filter``).
    5. Leaky ReLU with ``slope``, multiply by ``gain``, clamp to −``clamp`` … ``clamp``.
    6. Convolve with ``fd`` (correlate if ``flip_filter``).
    7. Downsample: keep every ``down``-th pixel.

    Args:
        x: [N, C, H, W], any floating dtype.
        fu: float32 [fh, fw], or [taps] for a separable filter, or None for the identity.
        fd: Alike.
        b: [C] or None.
        up, down: Factors of both axes.
        padding: One number, (x, y), or (x0, x1, y0, y1), counted in upsampled pixels.
        gain: Factor after the leaky ReLU.
        slope: The leaky ReLU's slope for negative values.
        clamp: Limit of the absolute value before step 6; None does not clamp.
        flip_filter: True correlates, False convolves.

    Returns:
        [N, C, H', W'] in the dtype of ``x``; H' = (H · up + pad_y − fu_h − fd_h + 2 − 1) // down + 1.

    Raises:
        ValueError: a factor below 1.
    """
    # 1. Bias.
    x = bias_act(x, b)
    # 2.–4. Upsample.
    x = upfirdn2d(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    # 5. Activation.
    x = bias_act(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp)
    # 6.–7. Downsample.
    return upfirdn2d(x, fd, down=down, flip_filter=flip_filter)
