"""Repair in the page: the event that repairs the crop, live, and the picture that the brush paints on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel, Field, FiniteFloat

from latent_editor.compositing import paste
from latent_editor.core.values import Crop, Step
from latent_editor.media.exports import jpeg_bytes
from latent_editor.media.photos import WORKING_PIXELS
from latent_editor.ops import affine
from latent_editor.rendering import to_image
from latent_editor.restoration.color_hints import MAX_DABS, ColorHint
from latent_editor.restoration.repair import RepairResult, repair
from latent_editor.sessions.session import PendingPhoto, Session
from latent_editor.ui.api.requests import FRESH, VisitorOf, data_address, jpeg
from latent_editor.ui.api.strokes import MAX_STROKES, Stroke, painted
from latent_editor.ui.jobs.job import Answer, Models, checked, events_of
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.streaming import stream

router = APIRouter(prefix="/editor")

SECONDS = 8.0


class ColorHintRequest(BaseModel, extra="forbid"):
    """A dab of colour, in fractions of the side."""

    x: FiniteFloat
    y: FiniteFloat
    colour: str = Field(max_length=40)


class RepairRequest(BaseModel, extra="forbid"):
    """What is wrong with the photo, as :func:`repair` takes it: strokes where something is missing, known colours."""

    strokes: list[Stroke] = Field(default_factory=list, max_length=MAX_STROKES)
    dabs: list[ColorHintRequest] = Field(default_factory=list, max_length=MAX_DABS)
    scale: FiniteFloat | None = None
    grey: bool = False
    blur_px: FiniteFloat | None = None
    noise: FiniteFloat | None = None
    jpeg: FiniteFloat | None = None

    def mask(self, size: tuple[int, int]) -> Image.Image | None:
        """White where the brush was, or None where it was nowhere."""
        return painted(self.strokes, size)


@router.get("/s/{session_id}/damaged.jpg")
def damaged(session: VisitorOf) -> Response:
    """The crop as it came, to be repaired."""
    crop = session.to_repair().crop
    assert crop is not None
    return jpeg(jpeg_bytes(crop.image, quality=95), FRESH)


def repair_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    """The event that repairs the session's crop; what comes of it is to be reconstructed."""

    def repair_crop(session_id: str, request: dict) -> Iterator[dict]:
        """Repairs the crop of a session, {"scale": 8, "grey": true, …}; yields progress, then the repaired crop."""
        yield from events_of("repair", lambda: _repair(models, session_id, checked(RepairRequest, request)))

    return repair_crop


def _repair(models: Models, session_id: str, request: RepairRequest) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    service, pending, run = models.service_of(session), session.to_repair(), session.run
    crop = pending.crop
    assert crop is not None
    best: Step | None = None
    for item in repairs(service, crop, request):
        now = service.store.get(session_id)
        if now.run != run:  # the visitor went elsewhere
            return
        if isinstance(item, RepairResult):
            _finish(service, session_id, run, pending, repaired_draft(pending, crop, item.image))
            yield {"crop": data_address(jpeg_bytes(item.image, quality=95))}
            return
        best = item
        yield {
            "fraction": round(best.fraction, 3),
            "seconds": round(best.seconds, 1),
            "image": None if best.image is None else data_address(jpeg_bytes(to_image(best.image))),
        }


def _finish(service: ModelService, session_id: str, run: int, damaged: PendingPhoto, new: PendingPhoto) -> None:
    service.store.update(session_id, lambda session: session.repaired(damaged, new) if session.run == run else session)


def repairs(service: ModelService, crop: Crop, request: RepairRequest) -> Iterator[Step | RepairResult]:
    """A repair's newest steps, then what came of it. Closing the iterator ends the work."""
    options = request.model_dump(exclude={"strokes", "dabs"})
    options["colours"] = [ColorHint(dab.x, dab.y, dab.colour) for dab in request.dabs]
    mask = request.mask(crop.image.size)

    def work() -> Iterator[Step | RepairResult]:
        return stream(lambda on_step: repair(service.g, crop, mask=mask, seconds=SECONDS, on_step=on_step, **options))

    yield from service.on_gpu(work)()


def repaired_draft(pending: PendingPhoto, crop: Crop, image: Image.Image) -> PendingPhoto:
    """The photo with the repaired crop in its place, enlarged where the crop has more pixels by now."""
    photo, damaged, crop = replace(pending.photo, rgba=None), crop.image, replace(crop, image=image)
    enlarged = max(1.0, 1 / affine.scale_of(crop.crop_to_photo))
    enlarged = min(enlarged, max(1.0, (WORKING_PIXELS / (photo.image.width * photo.image.height)) ** 0.5))
    size = (round(photo.image.width * enlarged), round(photo.image.height * enlarged))
    if size != photo.image.size:
        scales = np.array([[size[0] / photo.image.width], [size[1] / photo.image.height]])
        photo = replace(photo, image=photo.image.resize(size, Image.Resampling.BICUBIC))
        crop = replace(crop, crop_to_photo=crop.crop_to_photo * scales)
    everywhere = Image.new("L", (1, 1), 255)  # a repair changes the background too, not only the head
    whole = paste(photo, crop, edited=image, original=damaged, mask=everywhere)
    return PendingPhoto(replace(photo, image=whole), crop)
