"""An edit on the whole photo: both pictures of the crop are rendered and their difference is pasted back."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from latent_editor.compositing import edited_landmarks, paste
from latent_editor.compositing.pasting import FEATHER
from latent_editor.core.values import Crop, Edit, Latent, Photo
from latent_editor.editing.edits import edited
from latent_editor.generators import Generator
from latent_editor.rendering import render


def paste_edit(
    g: Generator,
    photo: Photo,
    crop: Crop,
    latent: Latent,
    edits: Sequence[Edit],
    *,
    feather: float = FEATHER,
    mask: Image.Image | None = None,
) -> Image.Image:
    """Applies edits to the whole photo: what the edits change is pasted back, everything else stays the photo's.

    1. Render the latent without and with the edits.
    2. Find the landmarks of the edited face, which may have turned.
    3. Carry the difference over to the photo (:func:`latent_editor.compositing.paste`).

    Args:
        g: The latent's generator.
        photo: The photo that the crop was cut from.
        crop: The crop that the latent was inverted from.
        latent: The unedited face.
        edits: What to apply. With none, or with strengths of 0, the photo comes back bit-identical.
        feather, mask: As in :func:`latent_editor.compositing.paste`.

    Returns:
        RGB, or RGBA where the photo is transparent, the photo's size, in the photo's own color encoding.

    Raises:
        BadLatent: a latent or a direction of another model.
        BadValue: ``feather`` is out of range, the crop does not belong to this photo, or regions overlap in too many
            ways.
    """
    before, after = render(g, latent), render(g, edited(latent, edits))
    landmarks = edited_landmarks(after, g, crop)
    return paste(photo, crop, edited=after, original=before, feather=feather, landmarks=landmarks, mask=mask)
