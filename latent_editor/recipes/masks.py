"""Regions in a recipe: small grayscale PNGs as text."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
import torch
from PIL import Image

from latent_editor.core.errors import BadValue
from latent_editor.core.region import MAX_PX, Region

#: Maximum length of a mask's text: one of the largest size without two equal neighbors.
MAX_MASK_TEXT = 2 * MAX_PX * MAX_PX


def mask_to_text(region: Region) -> str:
    """A region's mask as PNG in base64."""
    out = io.BytesIO()
    Image.fromarray(region.mask.numpy()).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def region_from_text(text: str, name: str) -> Region:
    """A region from the result of :func:`mask_to_text`.

    Raises:
        BadValue: not a PNG of one channel, or an invalid mask.
    """
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"])
        if max(image.size) > MAX_PX or image.mode != "L":
            raise BadValue(f"it is {image.size[0]} × {image.size[1]} ({image.mode}); expected a small grayscale PNG.")
        mask = torch.from_numpy(np.array(image))
    except BadValue:
        raise
    except (binascii.Error, OSError, ValueError, SyntaxError) as e:
        raise BadValue(f"it is not a readable PNG ({str(e)[:60]}). Save the recipe again.") from e
    return Region(mask, name)
