"""Heat maps of perceived color differences between two pictures, in a color scale for everyone."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from latent_editor.generators.pictures import as_rgb, to_image
from latent_editor.networks.face_views import blurred

#: Distances in CIELAB (ΔE of 1976): the smallest difference that is visible side by side, and the end of the scale.
VISIBLE, MAX_DIFFERENCE = 5.0, 40.0
#: Sigma of the blur relative to the side, because the eye does not compare pixels: of the pictures before the
#: comparison, and of the differences after it.
BLUR_BEFORE, BLUR_AFTER = 1 / 256, 1 / 128
#: Opacity of the colors over the gray photo at the ends of the scale.
_MIN_OPACITY, _MAX_OPACITY = 0.1, 0.92
LEGEND = ("the same", "visible", "strong")


def residual(a: Tensor, b: Tensor) -> Tensor:
    """The perceived difference of two pictures.

    1. Blur both slightly, as S-CIELAB does (Zhang & Wandell 1997); its separate filters for the opponent colors were
       rejected, since they assume a viewing distance.
    2. Euclidean distance in CIELAB, pixel by pixel.
    3. Blur again, to show regions rather than pixels.

    Args:
        a, b: float32 [1, C, S, S], −1..1.

    Returns:
        float32 [S, S] on the CPU, ΔE from 0.
    """
    side = a.shape[-1]
    sigma = side * BLUR_BEFORE
    seen = [_lab(blurred(as_rgb(x).float().clamp(-1, 1), sigma)) for x in (a, b)]
    distance = (seen[0] - seen[1]).square().sum(dim=1, keepdim=True).sqrt()
    smooth: Tensor = blurred(distance, side * BLUR_AFTER)[0, 0].detach().cpu()
    return smooth


def _lab(picture: Tensor) -> Tensor:
    """[N, 3, H, W], sRGB in −1..1 → CIELAB under D65."""
    x = ((picture + 1) / 2).clamp(0, 1)
    linear = torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    to_xyz = x.new_tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    white = to_xyz.sum(dim=1)
    xyz = torch.einsum("ij,njhw->nihw", to_xyz / white[:, None], linear)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp_min(1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return torch.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], dim=1)


def heat_map(difference: Tensor, photo: Tensor, *, size_px: int = 512, legend: bool = True) -> Image.Image:
    """Draws a residual over the grayscale photo, in the color-blind safe scale cividis (Nuñez et al. 2018).

    Gray is the same, dark blue slightly different, yellow strongly, on one scale for all pictures.

    Args:
        difference: float32 [S, S], as :func:`residual` gives it.
        photo: float32 [1, C, S, S], −1..1.
        size_px: Side of the result, without its legend.
        legend: Draw the scale below.

    Returns:
        RGB.
    """
    gray = np.asarray(to_image(photo[0]).convert("L").resize((size_px, size_px), Image.Resampling.BICUBIC), np.float32)
    value = np.clip(difference.numpy() / MAX_DIFFERENCE, 0, 1).astype(np.float32)
    value = np.clip(cv2.resize(value, (size_px, size_px), interpolation=cv2.INTER_CUBIC), 0, 1)
    value = np.sqrt(value)  # resolves small differences: a quarter of the distance is half of the scale
    picture = Image.fromarray(_laid_over(value, 0.1 * 255 + 0.7 * gray))
    return _with_legend(picture) if legend else picture


def _laid_over(value: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """Colors of a value 0..1 [H, W] over a gray picture [H, W] in 0..255 → uint8 [H, W, 3]."""
    cover = (_MIN_OPACITY + (_MAX_OPACITY - _MIN_OPACITY) * value)[..., None]
    drawn = _colors(value) * cover + gray[..., None] * (1 - cover)
    return np.clip(np.round(drawn), 0, 255).astype(np.uint8)


def _colors(value: np.ndarray) -> np.ndarray:
    """0..1 [H, W] → float32 [H, W, 3], RGB in 0..255."""
    bgr = cv2.applyColorMap(np.round(value * 255).astype(np.uint8), cv2.COLORMAP_CIVIDIS)
    return np.ascontiguousarray(bgr[..., ::-1]).astype(np.float32)


def _with_legend(picture: Image.Image) -> Image.Image:
    side = picture.width
    margin, bar, text = max(4, side // 40), max(6, side // 28), max(10, side // 26)
    whole = Image.new("RGB", (side, side + 3 * margin + bar + text), (250, 250, 250))
    whole.paste(picture, (0, 0))
    wide = side - 2 * margin
    ramp = np.tile(np.linspace(0, 1, wide, dtype=np.float32), (bar, 1))
    whole.paste(Image.fromarray(_laid_over(ramp, np.full_like(ramp, 115))), (margin, side + margin))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(text)
    y = side + 2 * margin + bar - text // 6
    at = margin + wide * (VISIBLE / MAX_DIFFERENCE) ** 0.5
    for label, x, anchor in zip(LEGEND, (margin, at, margin + wide), ("la", "ma", "ra"), strict=True):
        draw.text((x, y), label, fill=(40, 40, 40), font=font, anchor=anchor)
    return whole
