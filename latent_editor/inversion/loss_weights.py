"""Pixel weights of the inversion loss, from the landmarks of the face."""

from __future__ import annotations

from PIL import Image
from torch import Tensor

from latent_editor.core.face_geometry import FractionLandmarks, to_fractions
from latent_editor.core.values import Crop
from latent_editor.generators import Generator
from latent_editor.networks.faces import canonical_points
from latent_editor.networks.pixel_weights import NEEDED, face_weights


def pixel_weights(g: Generator, crop: Crop | Image.Image) -> Tensor | None:
    """Weights that emphasize the face and its features, if its landmarks are known.

    Args:
        g: The generator.
        crop: What :func:`align` gave, with its landmarks, or a picture that is aligned to the model.

    Returns:
        float32 [1, 1, size_px, size_px], mean 1; None for a crop without landmarks, or a model without faces.
    """
    if isinstance(crop, Crop):
        points: FractionLandmarks | None = to_fractions(crop.landmarks, crop.image.size)
    else:
        points = canonical_points(g)
    if not points or not set(points) >= NEEDED:
        return None
    return face_weights(points, g.size_px).to(g.device)
