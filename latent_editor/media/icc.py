"""Color management for photos with an ICC profile other than sRGB, such as those of phones and cameras.

A photo keeps its own color encoding, so that unedited pixels are saved bit-exactly. Generators work in sRGB: their
input is converted, and their output is converted back.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

#: Profiles that differ from sRGB by at most this many 8-bit levels are treated as sRGB.
TOLERANCE_LEVELS = 2


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts an RGB image from an ICC profile to sRGB.

    Returns the image itself if ``profile`` is None, damaged, not an RGB profile, or nearly sRGB.
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
        forward = _transform(own, srgb)
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(6, 36, 3)
        converted_cube = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), forward))
        if np.abs(converted_cube.astype(int) - cube).max() <= TOLERANCE_LEVELS:
            return image
        converted = ImageCms.applyTransform(image, _transform(srgb, own) if back else forward)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    assert converted is not None  # only with inPlace=True
    return converted


def _transform(source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
