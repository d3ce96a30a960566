"""Repairs the cropped photo, live; the result is then reconstructed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field, FiniteFloat

from latent_editor.compositing import paste
from latent_editor.core.values import Crop, OnStep
from latent_editor.media.exports import jpeg_bytes
from latent_editor.media.photos import WORKING_PIXELS
from latent_editor.ops import affine
from latent_editor.restoration.color_hints import MAX_COLOR_HINTS, ColorHint
from latent_editor.restoration.repair import RepairResult, repair
from latent_editor.sessions.basis import SAME_RUN
from latent_editor.sessions.session import PendingPhoto
from latent_editor.ui.api.requests import data_url
from latent_editor.ui.api.strokes import MAX_STROKES, Stroke, stroke_mask
from latent_editor.ui.jobs.job import Answer, LiveJob, Models, Run, checked, run_job

SECONDS = 8.0
CROP_QUALITY = 95


class ColorHintRequest(BaseModel, extra="forbid"):
    """A color hint, at a point in fractions of the side."""

    x: FiniteFloat
    y: FiniteFloat
    colour: str = Field(max_length=40)


class RepairRequest(BaseModel, extra="forbid"):
    """The damage of the photo, with the options of :func:`repair`; strokes mark missing areas."""

    strokes: list[Stroke] = Field(default_factory=list, max_length=MAX_STROKES)
    dabs: list[ColorHintRequest] = Field(default_factory=list, max_length=MAX_COLOR_HINTS)
    scale: FiniteFloat | None = None
    grey: bool = False
    blur_px: FiniteFloat | None = None
    noise: FiniteFloat | None = None
    jpeg: FiniteFloat | None = None


@dataclass(frozen=True)
class RepairJob(LiveJob[RepairResult]):
    """Repairs the original crop and makes the result the pending photo."""

    request: RepairRequest

    def prepare(self, run: Run) -> Callable[[OnStep], RepairResult]:
        g, crop, request = run.service.g, _source(run)[1], self.request
        options = request.model_dump(exclude={"strokes", "dabs", "grey"}) | {"grayscale": request.grey}
        options["color_hints"] = [ColorHint(dab.x, dab.y, dab.colour) for dab in request.dabs]
        mask = stroke_mask(request.strokes, crop.image.size)
        return lambda on_step: repair(g, crop, mask=mask, seconds=SECONDS, on_step=on_step, **options)

    def finish(self, run: Run, result: RepairResult) -> Answer:
        original, crop = _source(run)
        repaired = _repaired_photo(original, crop, result.image)
        run.service.store.update_if(run.session, lambda s: s.repaired(original, repaired), SAME_RUN)
        return {"crop": data_url(jpeg_bytes(result.image, quality=CROP_QUALITY))}


def _source(run: Run) -> tuple[PendingPhoto, Crop]:
    photo = run.session.repair_source()
    assert photo.crop is not None
    return photo, photo.crop


def _repaired_photo(pending: PendingPhoto, crop: Crop, image: Image.Image) -> PendingPhoto:
    """The photo with the repaired crop pasted in, enlarged if the crop has a higher resolution."""
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


def repair_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    def repair_crop(session_id: str, request: dict) -> Iterator[dict]:
        """Repairs the crop of a session, {"scale": 8, "grey": true, …}; yields progress, then the repaired crop."""
        yield from run_job(models, session_id, "repair", lambda: RepairJob(checked(RepairRequest, request)))

    return repair_crop
