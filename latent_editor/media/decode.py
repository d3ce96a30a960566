"""Opening the clips and tracks of strangers: bounded in time, pixels and bytes, and no other file than the given one.

FFmpeg, through PyAV, reads far more kinds of files than people have, among them playlists that name other files and
addresses. Only :data:`FORMATS` are tried here, and what is read comes from the one file that was opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from PIL import Image

from latent_editor.core.errors import BadMedia

#: What FFmpeg may take a file for; nothing here refers to other files.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,gif,ogg,mp3,wav,aiff,flac,aac,caf"
MAX_BYTES = 1 << 30
#: The longest track or clip that is read whole; a part of a longer one can be asked for.
MAX_SECONDS = 600.0
#: A driving clip: as many pictures, and as many pixels each (4K has 8.9 million with its borders).
MAX_PICTURES, MAX_PIXELS = 1500, 9_000_000
#: Pictures of a clip are kept with a longer side of this many pixels: a face still has some hundred.
KEPT_PX = 1280
#: Whatever a damaged file makes PyAV raise.
_DECODER_ERRORS = (av.error.FFmpegError, OSError, EOFError, ValueError, ArithmeticError, MemoryError)


@dataclass(frozen=True, eq=False)
class Track:
    """Sound, for measuring.

    Attributes:
        samples: float32 [N], mono, −1..1.
        rate_hz: Samples a second.
        name: The file's name without folders.
    """

    samples: np.ndarray
    rate_hz: int
    name: str = "track"

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Moving pictures, at even distances in time.

    Attributes:
        pictures: RGB, upright, with a longer side of at most :data:`KEPT_PX`.
        fps: Pictures a second.
        name: The file's name without folders.
        has_sound: Whether the file has a track too.
    """

    pictures: tuple[Image.Image, ...]
    fps: float
    name: str = "clip"
    has_sound: bool = False


def read_track(path: str | Path, *, seconds: float | None = None, rate_hz: int = 32_000) -> Track:
    """Reads the sound of a file, a video's too, as mono.

    Args:
        path: The file.
        seconds: Read so much from its start; None reads all.
        rate_hz: What it is resampled to.

    Raises:
        BadMedia: missing, damaged, without sound, or all of it was asked for and is longer than :data:`MAX_SECONDS`.
    """
    blocks = list(sound_blocks(path, rate_hz=rate_hz, channels=1, seconds=seconds))
    samples = np.concatenate(blocks, axis=1)[0] if blocks else np.zeros(0, np.float32)
    if not len(samples):
        raise BadMedia(f"{Path(path).name} holds no sound that can be decoded. Choose another track.")
    return Track(np.nan_to_num(samples).clip(-1, 1), rate_hz, Path(path).name)


def sound_blocks(
    path: str | Path, *, rate_hz: int, channels: int, seconds: float | None = None
) -> Iterator[np.ndarray]:
    """The sound of a file, block by block: float32 [channels, N], about −1..1.

    Args:
        path: The file.
        rate_hz: What it is resampled to.
        channels: 1 or 2.
        seconds: How much from its start; None for all.

    Raises:
        BadMedia: as :func:`read_track`.
    """
    _check_seconds(path, seconds)
    most = round(min(MAX_SECONDS, seconds or MAX_SECONDS) * rate_hz)
    with _opened(path, "sound") as (container, stream):
        _check_length(path, container, stream, seconds)
        resampler = av.AudioResampler(format="fltp", layout="mono" if channels == 1 else "stereo", rate=rate_hz)
        done = 0
        for frame in _decoded(container, stream):
            for part in resampler.resample(frame):
                block = part.to_ndarray().astype(np.float32, copy=False)[:, : most - done]
                if block.shape[1]:
                    yield block
                done += block.shape[1]
                if done >= most:
                    if seconds is None:
                        raise _too_long(path, MAX_SECONDS)
                    return
        for part in resampler.resample(None):
            block = part.to_ndarray().astype(np.float32, copy=False)[:, : most - done]
            done += block.shape[1]
            yield block


def read_clip(path: str | Path, *, fps: float = 25.0, seconds: float | None = None) -> VideoClip:
    """Reads moving pictures at ``fps`` a second: of a faster clip some are left out, of a slower one some repeated.

    Args:
        path: The file.
        fps: Pictures a second, 1 to 60.
        seconds: Read so much from its start; None reads all.

    Raises:
        BadMedia: missing, damaged, without pictures, or more pixels, pictures or seconds than are read.
    """
    if not 1 <= fps <= 60:
        raise BadMedia(f"A clip was to be read at {fps:g} pictures a second; expected 1 to 60.")
    _check_seconds(path, seconds)
    most = MAX_PICTURES if seconds is None else min(MAX_PICTURES, max(1, round(seconds * fps)))
    pictures: list[Image.Image] = []
    with _opened(path, "video") as (container, stream):
        _check_length(path, container, stream, seconds, MAX_PICTURES / fps)
        last: Image.Image | None = None
        start_s = end_s = 0.0
        step_s = 1 / float(stream.average_rate or fps)
        for frame in _decoded(container, stream):
            if last is None:
                start_s = frame.time or 0.0
            at_s = end_s if frame.time is None else frame.time - start_s
            while last is not None and len(pictures) / fps < at_s - 1e-6 and len(pictures) <= most:
                pictures.append(last)
            last, end_s = _upright(frame), at_s + step_s
            if len(pictures) >= most:
                break
        while last is not None and (not pictures or len(pictures) / fps < end_s - 1e-6) and len(pictures) <= most:
            pictures.append(last)
        has_sound = bool(container.streams.audio)
    if not pictures:
        raise BadMedia(f"{Path(path).name} holds no picture that can be decoded. Choose another clip.")
    if len(pictures) > most and seconds is None:
        raise _too_long(path, MAX_PICTURES / fps)
    return VideoClip(tuple(pictures[:most]), fps, Path(path).name, has_sound)


@contextmanager
def _opened(path: str | Path, kind: str) -> Iterator[tuple[InputContainer, Any]]:
    """The file and its best stream of a kind, "sound" or "video". Raises BadMedia, also for what fails inside."""
    path = Path(path)
    if not path.is_file():  # a device or a pipe could be read for ever
        what = "is a folder or device" if path.exists() else "does not exist"
        raise BadMedia(f"{path.name} {what}; expected a file with {kind}. Check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise BadMedia(f"{path.name} has more than {MAX_BYTES >> 20} MB. Cut it, or reduce it, and try again.")
    try:
        # As an open file: a name is never taken for the address of something else.
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"format_whitelist": FORMATS}, metadata_errors="ignore") as container,
        ):
            streams = container.streams.audio if kind == "sound" else container.streams.video
            if not streams or streams[0].codec_context is None:
                raise BadMedia(f"{path.name} holds no {kind} that can be decoded. Choose a file that does.")
            yield container, streams[0]
    except BadMedia:
        raise
    except _DECODER_ERRORS as e:
        raise BadMedia(
            f"{path.name} cannot be read as {kind} ({_reason(e)}): it is damaged or of an unknown kind. "
            "Expected an MP4, WebM, MOV, GIF, MP3, WAV, OGG or FLAC file. Convert it, or choose another."
        ) from e


def _check_seconds(path: str | Path, seconds: float | None) -> None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise BadMedia(f"{seconds} seconds of {Path(path).name} were asked for; expected a number above 0.")


def _check_length(
    path: str | Path, container: InputContainer, stream: Any, seconds: float | None, most_s: float = MAX_SECONDS
) -> None:
    """Raises BadMedia where the file says that it is longer than what is read whole, or its pictures too large."""
    if stream.type == "video":
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise BadMedia(
                f"{Path(path).name} has pictures of {width} × {height} pixels; at most {MAX_PIXELS / 1e6:.0f} million "
                "are read. Reduce it to 1080p and try again."
            )
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # they may grow on the way
    told_s = [float(stream.duration * stream.time_base)] if stream.duration and stream.time_base else []
    told_s += [container.duration / av.time_base] if container.duration else []
    if seconds is None and told_s and min(told_s) > most_s:
        raise _too_long(path, most_s, min(told_s))


def _too_long(path: str | Path, most_s: float, seconds: float | None = None) -> BadMedia:
    length = "more" if seconds is None else f"{seconds / 60:.0f} minutes"
    return BadMedia(
        f"{Path(path).name} is too long ({length}); at most {most_s:g} seconds are read whole. "
        "Say how many seconds of it to use, or cut it."
    )


def _decoded(container: InputContainer, stream: Any) -> Iterator[Any]:
    """The frames of a stream. Damage after the first of them ends it, as a file does that was cut off."""
    seen = False
    try:
        for frame in container.decode(stream):
            seen = True
            yield frame
    except _DECODER_ERRORS:
        if not seen:
            raise


def _upright(frame: av.VideoFrame) -> Image.Image:
    """A frame as RGB, turned as its file says, reduced where it is large."""
    scale = min(1.0, KEPT_PX / max(frame.width, frame.height))
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    picture = Image.fromarray(frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray())
    turn = round((frame.rotation or 0) / 90) * 90 % 360
    return picture.rotate(turn, expand=True) if turn else picture


def _reason(e: BaseException) -> str:
    return (getattr(e, "strerror", None) or str(e) or type(e).__name__).splitlines()[0][:100]
