"""The colours of photos that are not encoded as sRGB: cameras and phones write wider ones, told by an ICC profile.

A photo's pixels stay in its own encoding, so that whatever is not edited is saved to the bit. Generators know sRGB
only: what they are shown is converted, and what they draw is converted back.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

#: Encodings that differ by less, in levels of 255, are taken as one.
SAME_LEVELS = 2


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB picture in the encoding of an ICC profile → the same colours in sRGB.

    None, and a profile that is damaged, of no RGB encoding or hardly different, stands for sRGB: the picture itself is
    returned.
    """
    return _converted(image, profile, back=False)


def from_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The reverse of :func:`to_srgb`, for the same profiles."""
    return _converted(image, profile, back=True)


def _converted(image: Image.Image, profile: bytes | None, *, back: bool) -> Image.Image:
    if not profile:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        there = _transform(own, srgb)
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(6, 36, 3)
        seen = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), there))
        if np.abs(seen.astype(int) - cube).max() <= SAME_LEVELS:
            return image
        converted = ImageCms.applyTransform(image, _transform(srgb, own) if back else there)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    assert converted is not None  # only with inPlace=True
    return converted


def _transform(source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
