"""Feature patches in a recipe: position and source picture as JSON."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.feature_patch import MAX_PICTURE_PX, FeaturePatch

_QUALITY = 92
#: Maximum length of the picture's text.
MAX_PICTURE_TEXT = 8 << 20


def patch_to_json(feature_patch: FeaturePatch) -> dict[str, Any]:
    """A feature patch without its features, as JSON; the picture is a JPEG in base64."""
    out = io.BytesIO()
    Image.fromarray(feature_patch.picture.numpy()).save(out, "JPEG", quality=_QUALITY)
    picture = base64.b64encode(out.getvalue()).decode()
    return {"size_px": feature_patch.size_px, "top": feature_patch.top, "left": feature_patch.left, "picture": picture}


def patch_from_json(data: dict[str, Any], features: Tensor) -> FeaturePatch:
    """A feature patch from the result of :func:`patch_to_json` and its features.

    Raises:
        BadValue: a picture that cannot be read, or inconsistent numbers.
    """
    size_px, top, left = (_integer(data.get(key)) for key in ("size_px", "top", "left"))
    text = data.get("picture")
    if not isinstance(text, str) or len(text) > MAX_PICTURE_TEXT:
        raise BadValue("it has no picture, or one that is too large. Transfer the part again.")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["JPEG"])
        if max(image.size) > MAX_PICTURE_PX or image.mode != "RGB":
            raise BadValue(f"its picture is {image.size[0]} × {image.size[1]} ({image.mode}); expected RGB, not large.")
        picture = torch.from_numpy(np.array(image))
    except (binascii.Error, OSError, ValueError, SyntaxError) as e:
        if isinstance(e, BadValue):
            raise
        raise BadValue(f"its picture is not a readable JPEG ({str(e)[:60]}). Transfer the part again.") from e
    return FeaturePatch(features, size_px, top, left, picture)


def _integer(number: Any) -> int:
    if type(number) is not int:
        raise BadValue(f"its size or position is {str(number)[:20]!r}; expected a whole number.")
    return number
