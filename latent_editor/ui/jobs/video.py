"""Videos: from the unedited face to the edited one, past key frames, to the beat of a track, as a clip's face moves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, FiniteFloat
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadMedia, BadValue
from latent_editor.core.values import Edit, OnStep
from latent_editor.media.decode import read_clip, read_track
from latent_editor.media.encode import VideoConfig, frame_count
from latent_editor.media.exports import file_name
from latent_editor.motion import Animation, Keyframe, Motion, animate, follow, levels, take_motion
from latent_editor.sessions.session import Session
from latent_editor.ui.api.requests import SessionOf, StudioOf, download, read_upload
from latent_editor.ui.jobs.job import Answer, Models, checked, events_of, outcome
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")

#: Larger pictures than these are reduced for a video: a visitor waits for each of them.
VIDEO_PX, FPS = 512, 25.0
VIDEO_KINDS = {"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif"}
#: Of one visitor's video, in seconds.
MAX_SECONDS = 60


class VideoRequest(BaseModel, extra="forbid"):
    """A video as the page asks for it.

    Attributes:
        kind: The file's ending.
        seconds: How long.
        loop: Whether the last picture leads on to the first.
        keys: Entries of the history, one after another, None for the unedited face; none at all goes from the unedited
            face to the present one, or stays at the present one where a track or a clip moves it.
        ease: How it goes from key frame to key frame.
        sound: What was brought to be heard; "" for nothing.
        follow, band, low, high: The slider that follows the sound, which part of the sound, and between which values.
        clip: What was brought to take a face's motion from; "" for nothing.
        amount: How much of that motion.
    """

    kind: Literal["mp4", "webm", "gif"] = "mp4"
    seconds: FiniteFloat = Field(default=4.0, ge=1, le=MAX_SECONDS)
    loop: bool = True
    keys: list[int | None] = Field(default_factory=list, max_length=24)
    ease: str = Field(default="smooth", max_length=20)
    sound: str = ""
    follow: str = ""
    band: str = Field(default="all", max_length=20)
    low: FiniteFloat = Field(default=0.0, ge=-10, le=10)
    high: FiniteFloat = Field(default=2.0, ge=-10, le=10)
    clip: str = ""
    amount: FiniteFloat = Field(default=1.0, ge=-3, le=3)


@dataclass(frozen=True, eq=False)
class MediaFile:
    """A track or a clip that was brought; the bytes of its file."""

    data: bytes


@router.post("/s/{session_id}/footage")
async def take_footage(session: SessionOf, request: Request, service: StudioOf) -> dict[str, Any]:
    """Takes a track or a clip, and tells what is in it: how long it sounds, and whether it shows something."""
    data, name = await read_upload(request)
    return await run_in_threadpool(_take_footage, service, session, data, name)


def _take_footage(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = _written(Path(folder), name, data)
        try:
            sound_s = read_track(path, seconds=MAX_SECONDS, rate_hz=8000).seconds
        except BadMedia:
            sound_s = 0.0
            read_clip(path, fps=FPS, seconds=1 / FPS)  # what is neither of both is told here
    return {"key": service.uploads.put(session.id, name, MediaFile(data), len(data)), "sound_s": round(sound_s, 2)}


def film_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    """The event that makes a video."""

    def film(session_id: str, request: dict) -> Iterator[dict]:
        """Makes a video, {"kind": "mp4", "seconds": 4, …}; yields progress, then where to fetch it."""
        yield from events_of("film", lambda: _film(models, session_id, checked(VideoRequest, request)))

    return film


def _film(models: Models, session_id: str, request: VideoRequest) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    service = models.service_of(session)
    data = yield from outcome(service, session, lambda on_step: filmed(service, session, request, on_step))
    if data is not None:
        stem = session.photo.name if session.photo else "face"
        name = file_name(stem, f" {'loop' if request.loop else 'video'}.{request.kind}")
        yield {"film": service.uploads.put(session.id, name, data, len(data)), "bytes": len(data)}


@router.get("/s/{session_id}/save/film/{key}")
def fetch_film(session: SessionOf, service: StudioOf, key: str) -> Response:
    """A video that was made."""
    thing = service.uploads.get(session.id, key, bytes)
    return download(thing.content, thing.name, VIDEO_KINDS[thing.name.rsplit(".", 1)[1]])


def filmed(service: ModelService, session: Session, request: VideoRequest, on_step: OnStep) -> bytes:
    """The content of the video's file.

    Raises:
        BadValue, BadMedia, NoFaceFound, MissingPart, Stopped.
    """
    latent = service.latent(session)
    size_px, transform = min(service.g.size_px, VIDEO_PX), session.placement.matrix()
    with tempfile.TemporaryDirectory() as folder:
        sound = _brought(service, session, request.sound, Path(folder) / "sound")
        clip = _brought(service, session, request.clip, Path(folder) / "clip")
        animation = _animation(session, request)
        heard = sound
        if sound is not None and request.follow:
            animation = _following(animation, session, request, sound)
        if clip is not None:
            motion, has_sound = _motion(service, request, clip, _part(on_step, 0.0))
            animation = replace(animation, motion=motion)
            heard = heard or (clip if has_sound and not request.loop else None)
        path = Path(folder) / f"film.{request.kind}"
        animate(
            service.g,
            latent,
            animation,
            path,
            size_px=size_px,
            transform=transform,
            config=VideoConfig(fps=FPS, sound=heard),
            on_step=on_step if clip is None else _part(on_step, 0.5),
        )
        return path.read_bytes()


def _animation(session: Session, request: VideoRequest) -> Animation:
    """Past the key frames, evenly in time."""
    looks: list[tuple[Edit, ...]] = [
        () if key is None else tuple(s.edit for s in session.entry(key).sliders) for key in request.keys
    ]
    if not looks:
        changed = any(edit.strength and not edit.muted for edit in session.edits)
        moved = bool(request.clip or (request.sound and request.follow))
        if not changed and not moved:
            raise BadValue("Nothing is changed yet. Move a slider first.")
        looks = [session.edits] if moved else [(), session.edits]
    if len(looks) == 1:
        return Animation(request.seconds, request.loop, edits=looks[0])
    step_s = request.seconds / (len(looks) if request.loop else len(looks) - 1)
    keys = [Keyframe(i * step_s, look) for i, look in enumerate(looks)]
    return Animation.of_keys(keys, request.seconds, loop=request.loop, ease=request.ease)


def _following(animation: Animation, session: Session, request: VideoRequest, sound: Path) -> Animation:
    """One slider follows a track, instead of what it did before."""
    edit = session.slider(request.follow).edit
    track = read_track(sound, seconds=request.seconds)
    heights = levels(track, FPS, frame_count(request.seconds, FPS), band=request.band)
    slide = replace(
        follow(edit.direction, request.low, request.high, heights, FPS), layers=edit.layers, region=edit.region
    )
    others = tuple(s for s in animation.slides if s.direction is not edit.direction)
    still = tuple(e for e in animation.edits if e.direction is not edit.direction)
    return replace(animation, slides=(*others, slide), edits=still)


def _motion(service: ModelService, request: VideoRequest, path: Path, on_step: OnStep) -> tuple[Motion, bool]:
    """What the face of a clip does, in a loop there and back; and whether the clip sounds."""
    clip = read_clip(path, fps=FPS, seconds=request.seconds / (2 if request.loop else 1))
    motion = take_motion(clip, service.g, amount=request.amount, on_step=on_step)
    if request.loop:
        motion = replace(motion, offsets=torch.cat([motion.offsets, motion.offsets.flip(0)]))
    return motion, clip.has_sound


def _part(on_step: OnStep, offset: float) -> OnStep:
    """``on_step`` told of one half of the whole."""
    return lambda step: on_step(replace(step, fraction=offset + step.fraction / 2))


def _brought(service: ModelService, session: Session, key: str, stem: Path) -> Path | None:
    """The file of what a visitor brought, or None for nothing."""
    if not key:
        return None
    thing = service.uploads.get(session.id, key, MediaFile)
    stem.mkdir()
    return _written(stem, thing.name, thing.content.data)


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / file_name(name, "")
    path.write_bytes(data)
    return path
