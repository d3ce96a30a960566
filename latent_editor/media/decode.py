"""Decodes untrusted video and audio files, bounded in duration, pixels and bytes.

FFmpeg (through PyAV) also reads playlists, which reference other files and URLs. Only :data:`FORMATS` are allowed, and
only the given file is ever read.
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

#: Allowed FFmpeg demuxers; none of them follows references to other files.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,gif,ogg,mp3,wav,aiff,flac,aac,caf"
MAX_BYTES = 1 << 30
#: Limit for reading a whole track or clip; of longer ones, a part can be read.
MAX_SECONDS = 600.0
#: Limits of a clip: number of frames, and pixels of each (4K has 8.9 million with padding).
MAX_FRAMES, MAX_PIXELS = 1500, 9_000_000
#: Frames are downscaled to this longer side, in which a face still has a few hundred pixels.
MAX_SIDE_PX = 1280
#: Exceptions that damaged files cause in PyAV.
_DECODER_ERRORS = (av.error.FFmpegError, OSError, EOFError, ValueError, ArithmeticError, MemoryError)


@dataclass(frozen=True, eq=False)
class Track:
    """Decoded audio.

    Attributes:
        samples: float32 [N], mono, −1..1.
        rate_hz: Sample rate.
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
    """Decoded video frames at a constant rate.

    Attributes:
        frames: RGB, upright, with a longer side of at limit :data:`MAX_SIDE_PX`.
        fps: Frames per second.
        name: The file's name without folders.
        has_audio: Whether the file has an audio track.
    """

    frames: tuple[Image.Image, ...]
    fps: float
    name: str = "clip"
    has_audio: bool = False


def read_track(path: str | Path, *, seconds: float | None = None, rate_hz: int = 32_000) -> Track:
    """Reads the audio of an audio or video file as mono.

    Args:
        path: The file.
        seconds: Read only this much from the start; None reads all.
        rate_hz: Sample rate to resample to.

    Raises:
        BadMedia: missing, damaged, without audio, or longer than :data:`MAX_SECONDS` if ``seconds`` is None.
    """
    blocks = list(audio_blocks(path, rate_hz=rate_hz, channels=1, seconds=seconds))
    samples = np.concatenate(blocks, axis=1)[0] if blocks else np.zeros(0, np.float32)
    if not len(samples):
        raise BadMedia(f"{Path(path).name} has no audio that can be decoded. Choose another track.")
    return Track(np.nan_to_num(samples).clip(-1, 1), rate_hz, Path(path).name)


def audio_blocks(
    path: str | Path, *, rate_hz: int, channels: int, seconds: float | None = None
) -> Iterator[np.ndarray]:
    """Decodes the audio of a file block by block.

    Args:
        path: The file.
        rate_hz: Sample rate to resample to.
        channels: 1 or 2.
        seconds: Read only this much from the start; None reads all.

    Yields:
        float32 [channels, N], about −1..1.

    Raises:
        BadMedia: as :func:`read_track`.
    """
    _check_seconds(path, seconds)
    limit = round(min(MAX_SECONDS, seconds or MAX_SECONDS) * rate_hz)
    with _open_stream(path, "audio") as (container, stream):
        _check_length(path, container, stream, seconds)
        resampler = av.AudioResampler(format="fltp", layout="mono" if channels == 1 else "stereo", rate=rate_hz)
        done = 0
        for frame in _decoded(container, stream):
            for part in resampler.resample(frame):
                block = part.to_ndarray().astype(np.float32, copy=False)[:, : limit - done]
                if block.shape[1]:
                    yield block
                done += block.shape[1]
                if done >= limit:
                    if seconds is None:
                        raise _too_long(path, MAX_SECONDS)
                    return
        for part in resampler.resample(None):
            block = part.to_ndarray().astype(np.float32, copy=False)[:, : limit - done]
            done += block.shape[1]
            yield block


def read_clip(path: str | Path, *, fps: float = 25.0, seconds: float | None = None) -> VideoClip:
    """Reads a video at a given frame rate, dropping or repeating frames as needed.

    Args:
        path: The file.
        fps: Frames per second, 1 to 60.
        seconds: Read only this much from the start; None reads all.

    Raises:
        BadMedia: missing, damaged, without video, or over the limits of pixels, frames or duration.
    """
    if not 1 <= fps <= 60:
        raise BadMedia(f"Got {fps:g} frames per second for a clip; expected 1 to 60.")
    _check_seconds(path, seconds)
    limit = MAX_FRAMES if seconds is None else min(MAX_FRAMES, max(1, round(seconds * fps)))
    frames: list[Image.Image] = []
    with _open_stream(path, "video") as (container, stream):
        _check_length(path, container, stream, seconds, MAX_FRAMES / fps)
        last: Image.Image | None = None
        start_s = end_s = 0.0
        step_s = 1 / float(stream.average_rate or fps)
        for frame in _decoded(container, stream):
            if last is None:
                start_s = frame.time or 0.0
            at_s = end_s if frame.time is None else frame.time - start_s
            while last is not None and len(frames) / fps < at_s - 1e-6 and len(frames) <= limit:
                frames.append(last)
            last, end_s = _upright(frame), at_s + step_s
            if len(frames) >= limit:
                break
        while last is not None and (not frames or len(frames) / fps < end_s - 1e-6) and len(frames) <= limit:
            frames.append(last)
        has_audio = bool(container.streams.audio)
    if not frames:
        raise BadMedia(f"{Path(path).name} has no frame that can be decoded. Choose another clip.")
    if len(frames) > limit and seconds is None:
        raise _too_long(path, MAX_FRAMES / fps)
    return VideoClip(tuple(frames[:limit]), fps, Path(path).name, has_audio)


@contextmanager
def _open_stream(path: str | Path, kind: str) -> Iterator[tuple[InputContainer, Any]]:
    """Opens the first "audio" or "video" stream of a file. Raises BadMedia, also for errors in the with-block."""
    path = Path(path)
    if not path.is_file():  # a device or pipe might never end
        what = "is a folder or device" if path.exists() else "does not exist"
        raise BadMedia(f"{path.name} {what}; expected a file with {kind}. Check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise BadMedia(f"{path.name} has more than {MAX_BYTES >> 20} MB. Trim or compress it and try again.")
    try:
        # Pass an open file: FFmpeg might interpret a name as a URL.
        with (
            path.open("rb") as file,
            av.open(file, "r", options={"format_whitelist": FORMATS}, metadata_errors="ignore") as container,
        ):
            streams = container.streams.audio if kind == "audio" else container.streams.video
            if not streams or streams[0].codec_context is None:
                raise BadMedia(f"{path.name} has no {kind} that can be decoded. Choose another file.")
            yield container, streams[0]
    except BadMedia:
        raise
    except _DECODER_ERRORS as e:
        raise BadMedia(
            f"{path.name} cannot be read as {kind} ({_reason(e)}): it is damaged or has an unknown format. "
            "Expected an MP4, WebM, MOV, GIF, MP3, WAV, OGG or FLAC file. Convert it, or choose another."
        ) from e


def _check_seconds(path: str | Path, seconds: float | None) -> None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise BadMedia(f"Got {seconds} seconds to read of {Path(path).name}; expected a number above 0.")


def _check_length(
    path: str | Path, container: InputContainer, stream: Any, seconds: float | None, limit_s: float = MAX_SECONDS
) -> None:
    """Raises BadMedia if the file declares a duration or frame size over the limits."""
    if stream.type == "video":
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise BadMedia(
                f"{Path(path).name} has frames of {width} × {height} pixels; the limit is {MAX_PIXELS / 1e6:.0f} "
                "million. Convert it to 1080p and try again."
            )
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # the size may change within the stream
    declared_s = [float(stream.duration * stream.time_base)] if stream.duration and stream.time_base else []
    declared_s += [container.duration / av.time_base] if container.duration else []
    if seconds is None and declared_s and min(declared_s) > limit_s:
        raise _too_long(path, limit_s, min(declared_s))


def _too_long(path: str | Path, limit_s: float, seconds: float | None = None) -> BadMedia:
    length = "more" if seconds is None else f"{seconds / 60:.0f} minutes"
    return BadMedia(
        f"{Path(path).name} is too long ({length}); the limit is {limit_s:g} seconds. "
        "Choose how many seconds to use, or trim it."
    )


def _decoded(container: InputContainer, stream: Any) -> Iterator[Any]:
    """The frames of a stream; damage after the first frame ends it, as in a truncated file."""
    seen = False
    try:
        for frame in container.decode(stream):
            seen = True
            yield frame
    except _DECODER_ERRORS:
        if not seen:
            raise


def _upright(frame: av.VideoFrame) -> Image.Image:
    """A frame as RGB, rotated upright according to the metadata, downscaled if large."""
    scale = min(1.0, MAX_SIDE_PX / max(frame.width, frame.height))
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    picture = Image.fromarray(frame.reformat(*size, format="rgb24", interpolation="AREA").to_ndarray())
    turn = round((frame.rotation or 0) / 90) * 90 % 360
    return picture.rotate(turn, expand=True) if turn else picture


def _reason(e: BaseException) -> str:
    return (getattr(e, "strerror", None) or str(e) or type(e).__name__).splitlines()[0][:100]
