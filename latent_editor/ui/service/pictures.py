"""Pictures of a session: frames and thumbnails for the screen, full-size pictures to keep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import edited
from latent_editor.editing.paste_back import paste_edit
from latent_editor.generators.refined import generator_for
from latent_editor.media.exports import jpeg_bytes
from latent_editor.rendering import render
from latent_editor.sessions.placement import IDENTITY, Placement
from latent_editor.sessions.session import Session
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.preview_choice import choose_generator

#: Side of a picture on the screen; a small model's is enlarged here, with a better filter than that of browsers.
SCREEN_PX = 512
#: Side of a frame while a slider moves: 4 ms faster, and hardly distinguishable in motion.
MOVING_PX = 256
STRIP_PX = 96
HISTORY_PX = 80
EXAMPLE_PX = 160
PAIR_STRENGTHS = (-2.0, 2.0)
PLAY_STRENGTHS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
THUMBNAIL_QUALITY = 85


def full_picture(
    service: ModelService, session: Session, edits: Sequence[Edit], placement: Placement = IDENTITY
) -> Image.Image:
    """The edited face in the generator's own size, with alpha if the model has it."""
    return render(service.g, edited(service.latent(session), edits), transform=placement.matrix(), alpha=True)


def whole_photo(service: ModelService, session: Session) -> Image.Image:
    """The photo with the edited face pasted back, without the session's placement.

    Raises:
        BadValue: there is no photo.
    """
    if session.photo is None or session.crop is None:
        raise BadValue("This face comes from no photo. Save the picture itself, or start from a photo.")
    return paste_edit(service.g, session.photo, session.crop, service.latent(session), session.edits)


def frame(
    service: ModelService,
    session: Session,
    edits: Sequence[Edit],
    placement: Placement = IDENTITY,
    *,
    size_px: int = SCREEN_PX,
) -> bytes:
    """The edited face as a JPEG for the screen."""
    return face_frame(service, edited(service.latent(session), edits), placement, size_px=size_px)


def face_frame(
    service: ModelService, latent: Latent, placement: Placement = IDENTITY, *, size_px: int = SCREEN_PX
) -> bytes:
    """A face as a JPEG for the screen. Raises BadLatent for a latent of another model."""
    g = choose_generator(generator_for(service.g, latent), size_px, placement)
    (image,) = service.frame_renderer.images(g, latent.ws[None], size_px=size_px, transform=placement.matrix())
    return jpeg_bytes(image)


def direction_strip(
    service: ModelService, session: Session, key: str, strengths: Sequence[float] = PAIR_STRENGTHS
) -> bytes:
    """The face at several strengths of one direction, side by side, as a JPEG. Raises UnknownDirection."""
    latent, direction = service.latent(session), service.direction(session, key)
    if direction.interpolates:
        region = next((s.edit.region for s in session.sliders if s.key == key), None)
        # Interpolation towards another face has neither negative strengths nor strengths above 1.
        edits = [Edit(direction, min(max(s, 0.0), 1.0), region=region) for s in strengths]
        images = [image for edit in edits for image in _thumbnails(service, edited(latent, [edit]))]
    else:
        images = _thumbnails(service, latent, ws=_along(latent, direction, strengths))
    strip = Image.new("RGB", (STRIP_PX * len(strengths), STRIP_PX))
    for i, image in enumerate(images):
        strip.paste(image, (i * STRIP_PX, 0))
    return jpeg_bytes(strip, quality=THUMBNAIL_QUALITY)


def _along(latent: Latent, direction: Direction, strengths: Sequence[float]) -> torch.Tensor:
    return torch.stack([edited(latent, [Edit(direction, s)]).ws for s in strengths])


def _thumbnails(service: ModelService, latent: Latent, ws: torch.Tensor | None = None) -> list[Image.Image]:
    """One thumbnail of the latent, or one for each of ``ws`` [N, num_ws, w_dim], drawn by the latent's generator."""
    g = choose_generator(generator_for(service.g, latent), STRIP_PX)
    return service.frame_renderer.images(g, latent.ws[None] if ws is None else ws, size_px=STRIP_PX)
