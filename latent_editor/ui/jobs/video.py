"""Videos: from the unedited face to the edited one, through key frames, to a beat, or following a clip's motion."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, Field, FiniteFloat

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Edit, OnStep
from latent_editor.media.decode import read_clip, read_track
from latent_editor.media.encode import VideoConfig, frame_count
from latent_editor.media.exports import file_name
from latent_editor.motion import Animation, Keyframe, Motion, animate, extract_motion, loudness_envelope, loudness_track
from latent_editor.sessions.session import Session
from latent_editor.ui.api.requests import file_stem
from latent_editor.ui.api.video_routes import MAX_SECONDS
from latent_editor.ui.jobs.job import Answer, Job, Models, Run, checked, run_job
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.upload_store import MediaFile

#: Larger pictures are reduced for a video, to keep the wait short.
VIDEO_PX, FPS = 512, 25.0


class VideoRequest(BaseModel, extra="forbid"):
    """A video as the page requests it.

    Attributes:
        kind: The file type.
        seconds: The duration.
        loop: Whether the last picture leads on to the first.
        keys: Ids of history entries as key frames, None for the unedited face. Without any, the video goes from the
            unedited face to the present one, or stays at the present one if sound or a clip moves it.
        ease: The interpolation between key frames.
        sound: Key of an uploaded audio file to be heard; "" for none.
        follow, band, low, high: The slider that follows the sound, the frequency band, and the range of its values.
        clip: Key of an uploaded clip whose motion the face takes on; "" for none.
        amount: The strength of that motion.
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


@dataclass(frozen=True)
class VideoJob(Job[bytes]):
    """Makes a video file, to be downloaded under the key in the final answer."""

    request: VideoRequest

    def prepare(self, run: Run) -> Callable[[OnStep], bytes]:
        return lambda on_step: make_video(run.service, run.session, self.request, on_step)

    def finish(self, run: Run, result: bytes) -> Answer:
        run.present()
        kind = "loop" if self.request.loop else "video"
        name = file_name(file_stem(run.session), f" {kind}.{self.request.kind}")
        return {"film": run.service.uploads.put(run.session.id, name, result, len(result)), "bytes": len(result)}


def make_video(service: ModelService, session: Session, request: VideoRequest, on_step: OnStep) -> bytes:
    """The content of the video file.

    Raises:
        BadValue, BadMedia, NoFaceFound, MissingPart, Stopped.
    """
    latent = service.latent(session)
    size_px, transform = min(service.g.size_px, VIDEO_PX), session.placement.matrix()
    with tempfile.TemporaryDirectory() as folder:
        sound = _media_path(service, session, request.sound, Path(folder) / "sound")
        clip = _media_path(service, session, request.clip, Path(folder) / "clip")
        animation, audible = _animation(session, request), sound
        if sound is not None and request.follow:
            animation = _following_sound(animation, session, request, sound)
        if clip is not None:
            motion, has_audio = _motion(service, request, clip, _half(on_step, 0.0))
            animation = replace(animation, motion=motion)
            audible = sound or (clip if has_audio and not request.loop else None)
        path = Path(folder) / f"video.{request.kind}"
        animate(
            service.g,
            latent,
            animation,
            path,
            size_px=size_px,
            transform=transform,
            config=VideoConfig(fps=FPS, audio=audible),
            on_step=on_step if clip is None else _half(on_step, 0.5),
        )
        return path.read_bytes()


def _animation(session: Session, request: VideoRequest) -> Animation:
    """Through the key frames, evenly spaced in time."""
    states: list[tuple[Edit, ...]] = [
        () if key is None else tuple(s.edit for s in session.entry(key).sliders) for key in request.keys
    ]
    if not states:
        changed = any(edit.strength and not edit.muted for edit in session.edits)
        moved = bool(request.clip or (request.sound and request.follow))
        if not changed and not moved:
            raise BadValue("Nothing is changed yet. Move a slider first.")
        states = [session.edits] if moved else [(), session.edits]
    if len(states) == 1:
        return Animation(request.seconds, request.loop, edits=states[0])
    step_s = request.seconds / (len(states) if request.loop else len(states) - 1)
    keys = [Keyframe(i * step_s, state) for i, state in enumerate(states)]
    return Animation.from_keyframes(keys, request.seconds, loop=request.loop, ease=request.ease)


def _following_sound(animation: Animation, session: Session, request: VideoRequest, sound: Path) -> Animation:
    """Lets one slider follow a sound instead of its own course."""
    edit = session.slider(request.follow).edit
    track = read_track(sound, seconds=request.seconds)
    loudness = loudness_envelope(track, FPS, frame_count(request.seconds, FPS), band=request.band)
    slide = replace(
        loudness_track(edit.direction, request.low, request.high, loudness, FPS), layers=edit.layers, region=edit.region
    )
    others = tuple(s for s in animation.tracks if s.direction is not edit.direction)
    still = tuple(e for e in animation.edits if e.direction is not edit.direction)
    return replace(animation, tracks=(*others, slide), edits=still)


def _motion(service: ModelService, request: VideoRequest, path: Path, on_step: OnStep) -> tuple[Motion, bool]:
    """The motion of a clip's face, forth and back if the video loops; and whether the clip has sound."""
    clip = read_clip(path, fps=FPS, seconds=request.seconds / (2 if request.loop else 1))
    motion = extract_motion(clip, service.g, amount=request.amount, on_step=on_step)
    if request.loop:
        motion = replace(motion, offsets=torch.cat([motion.offsets, motion.offsets.flip(0)]))
    return motion, clip.has_audio


def _half(on_step: OnStep, offset: float) -> OnStep:
    """Reports the progress of one half of the work, which begins at ``offset``."""
    return lambda step: on_step(replace(step, fraction=offset + step.fraction / 2))


def _media_path(service: ModelService, session: Session, key: str, folder: Path) -> Path | None:
    """Writes an uploaded file into a new folder; None without a key."""
    if not key:
        return None
    item = service.uploads.get(session.id, key, MediaFile)
    folder.mkdir()
    path = folder / file_name(item.name, "")
    path.write_bytes(item.content.data)
    return path


def video_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    def video(session_id: str, request: dict) -> Iterator[dict]:
        """Makes a video, {"kind": "mp4", "seconds": 4, …}; yields progress, then the key to download it."""
        yield from run_job(models, session_id, "video", lambda: VideoJob(checked(VideoRequest, request)))

    return video
