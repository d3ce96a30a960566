"""Encodes frames as MP4 (H.264), WebM (VP9) or GIF, with metadata that declares them synthetic."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadValue, Stopped
from latent_editor.core.values import OnStep, Step
from latent_editor.media.decode import audio_blocks
from latent_editor.media.exports import xmp
from latent_editor.version import __version__

#: By file suffix: video encoder, its options except quality, and audio encoder.
FORMATS: dict[str, tuple[str, dict[str, str], str | None]] = {
    ".mp4": ("libx264", {"preset": "medium"}, "aac"),
    ".webm": ("libvpx-vp9", {"deadline": "good", "cpu-used": "4", "row-mt": "1", "b": "0"}, "libopus"),
    ".gif": ("gif", {}, None),
}
VIDEO_SUFFIXES = tuple(FORMATS)
#: Limits. GIF frames stay in memory until the palette is known, hence their stricter limit; browsers slow down faster
#: GIFs.
MAX_SECONDS, MAX_FPS, MAX_GIF_FPS = 600.0, 60.0, 50.0
MAX_SIDE_PX, MIN_SIDE_PX, MAX_GIF_PIXELS = 2048, 16, 80_000_000
AUDIO_RATE_HZ = 48_000
#: UUID of the MP4 box that holds an XMP packet (XMP specification, part 3, §1.2.7).
_XMP_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
_STOPPED = "Stopped: no video was written; an existing file was not changed."


@dataclass(frozen=True)
class VideoConfig:
    """Encoding options of a video.

    Attributes:
        fps: Frames per second, above 0, at most 60 (GIF: 50).
        quality: Constant quality, 1 to 100; 75 is nearly lossless to the eye. Ignored for GIF.
        description: For the file's metadata, besides the statement that it is synthetic.
        part: Only a part of each frame is synthetic.
        audio: File whose audio becomes the soundtrack; ignored for GIF.
    """

    fps: float = 25.0
    quality: int = 75
    description: str = ""
    part: bool = False
    audio: Path | None = None


@dataclass(frozen=True)
class Video:
    """A written video.

    Attributes:
        path: The file.
        frames: Number of frames.
        seconds: Duration.
        size: Width and height in pixels.
        has_audio: Whether it has an audio track.
    """

    path: Path
    frames: int
    seconds: float
    size: tuple[int, int]
    has_audio: bool = False


def frame_count(seconds: float, fps: float) -> int:
    """The number of frames in a duration, at least one.

    Raises:
        BadValue: a number is not finite or out of range.
    """
    if not 0 < fps <= MAX_FPS:  # false for NaN too
        raise BadValue(f"Got {fps:g} frames per second; expected a number above 0 and at most {MAX_FPS:g}.")
    if not 0 < seconds <= MAX_SECONDS:
        raise BadValue(f"Got a video of {seconds:g} seconds; expected a number above 0 and at most {MAX_SECONDS:g}.")
    return max(1, round(seconds * fps))


def check_video(path: str | Path, size: tuple[int, int], count: int, config: VideoConfig) -> None:
    """Checks, before anything is rendered, that the video can be written.

    Raises:
        BadValue: an unknown suffix, or a size, duration, frame rate or quality out of range.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise BadValue(f"The video {Path(path).name!r} must end in {', '.join(VIDEO_SUFFIXES)}.")
    if not 1 <= config.quality <= 100:
        raise BadValue(f"Got the quality {config.quality}; expected 1 to 100.")
    frame_count(count / config.fps if config.fps > 0 else math.nan, config.fps)
    if not MIN_SIDE_PX <= min(size) <= max(size) <= MAX_SIDE_PX:
        raise BadValue(f"Got frames of {size[0]} × {size[1]} pixels; expected sides of {MIN_SIDE_PX} to {MAX_SIDE_PX}.")
    if suffix == ".gif" and config.fps > MAX_GIF_FPS:
        raise BadValue(f"Got {config.fps:g} frames per second; a GIF has at most {MAX_GIF_FPS:g}.")
    if suffix == ".gif" and count * size[0] * size[1] > MAX_GIF_PIXELS:
        limit = MAX_GIF_PIXELS // (size[0] * size[1])
        raise BadValue(
            f"A GIF of {count} frames of {size[0]} × {size[1]} pixels would be too large; the limit is {limit} frames. "
            "Make it smaller or shorter, or choose MP4."
        )


def write_video(
    path: str | Path,
    frames: Iterable[Image.Image],
    *,
    count: int,
    config: VideoConfig | None = None,
    on_step: OnStep | None = None,
) -> Video:
    """Encodes frames as they arrive.

    The file is written atomically. Odd sides are padded by one row or column if the format requires even ones.

    Args:
        path: The file; its suffix chooses the format: ``.mp4``, ``.webm`` or ``.gif`` (which loops forever).
        frames: RGB images, all of one size.
        count: Number of frames.
        config: Encoding options.
        on_step: Called after every frame; returning True stops, and nothing is written.

    Raises:
        BadValue: an unknown suffix, or a size, duration, frame rate or quality out of range.
        BadMedia: the audio cannot be read.
        Stopped: ``on_step`` returned True.
    """
    path, config = Path(path), config or VideoConfig()
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise BadValue("The video has no frames. Make it longer.")
    check_video(path, first.size, count, config)
    with tensor_files.replacing(path, suffix=path.suffix.lower()) as temporary:
        encoder = _GifEncoder if path.suffix.lower() == ".gif" else _Encoder
        done = _encode(encoder(temporary, first.size, config), first, pictures, count, on_step)
        _add_synthetic_metadata(temporary, config)
    has_audio = config.audio is not None and path.suffix.lower() != ".gif"
    return Video(path, done, done / config.fps, first.size, has_audio)


def _encode(
    encoder: _Encoder | _GifEncoder,
    first: Image.Image,
    rest: Iterator[Image.Image],
    count: int,
    on_step: OnStep | None,
) -> int:
    """Encodes all frames and returns their number."""
    began, done = time.monotonic(), 0
    try:
        picture: Image.Image | None = first
        while picture is not None and done < count:
            if picture.size != first.size:
                raise BadValue(f"Frame {done} has {picture.size} pixels, the first {first.size}; expected one size.")
            encoder.put(np.asarray(picture.convert("RGB")), done)
            done += 1
            step = Step(done, count, time.monotonic() - began, done / count, label="Writing the video")
            if on_step is not None and on_step(step):
                raise Stopped(_STOPPED)
            picture = next(rest, None) if done < count else None
        encoder.finish(done)
    finally:
        encoder.close()
    return done


class _Encoder:
    """H.264 or VP9, optionally with audio."""

    def __init__(self, path: Path, size: tuple[int, int], config: VideoConfig) -> None:
        codec, options, audio_codec = FORMATS[path.suffix]
        self.fps = Fraction(config.fps).limit_denominator(1001)
        # Lower is better: quality 75 is 18 on x264's scale and 26 on VP9's.
        crf = 38 - 0.27 * config.quality if codec == "libx264" else 50 - 0.32 * config.quality
        container_options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
        self.container: OutputContainer = av.open(str(path), "w", container_options=container_options)
        self.container.metadata.update(_metadata(path.suffix, config))
        width, height = (side + side % 2 for side in size)
        options = {**options, "crf": f"{crf:.0f}"}
        self.stream = cast(VideoStream, self.container.add_stream(codec, rate=self.fps, options=options))
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"
        context = self.stream.codec_context
        # Tag as BT.709, limited range: without tags, players guess differently.
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        self.audio = _AudioEncoder(self.container, audio_codec, config.audio) if config.audio and audio_codec else None

    def put(self, pixels: np.ndarray, index: int) -> None:
        """Encodes frame ``index``, uint8 [H, W, 3]."""
        height, width = pixels.shape[:2]
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC"
        )
        frame.pts, frame.time_base = index, 1 / self.fps
        self.container.mux(self.stream.encode(frame))
        if self.audio is not None:
            self.audio.put_until((index + 1) / self.fps)

    def finish(self, count: int) -> None:
        self.container.mux(self.stream.encode(None))
        if self.audio is not None:
            self.audio.finish(count / self.fps)

    def close(self) -> None:
        self.container.close()


class _AudioEncoder:
    """Encodes the audio track of a video, in step with its frames."""

    def __init__(self, container: OutputContainer, codec: str, source: Path) -> None:
        self.container = container
        self.stream = cast(AudioStream, container.add_stream(codec, rate=AUDIO_RATE_HZ, layout="stereo"))
        self.stream.bit_rate = 160_000
        self.blocks = audio_blocks(source, rate_hz=AUDIO_RATE_HZ, channels=2, seconds=MAX_SECONDS)
        self.pending: np.ndarray | None = next(self.blocks, None)  # raises if the file cannot be read
        self.done = 0

    def put_until(self, end_s: Fraction) -> None:
        """Encodes the audio before ``end_s``."""
        end = round(end_s * AUDIO_RATE_HZ)
        while self.pending is not None and self.done < end:
            now, later = np.split(self.pending, [end - self.done], axis=1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(now), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, self.done, Fraction(1, AUDIO_RATE_HZ)
            self.done += now.shape[1]
            self.container.mux(self.stream.encode(frame))
            self.pending = later if later.shape[1] else next(self.blocks, None)

    def finish(self, end_s: Fraction) -> None:
        self.put_until(end_s)
        self.container.mux(self.stream.encode(None))


class _GifEncoder:
    """One palette for all frames and an ordered dither: static parts do not flicker, and compress well.

    Rejected: a palette per frame (+0.6 dB, 1.8 times the bytes); error diffusion (−1.5 dB, 1.4 times the bytes), on 48
    frames of 128² pixels of a changing face.
    """

    def __init__(self, path: Path, size: tuple[int, int], config: VideoConfig) -> None:
        width, height = size
        rate = Fraction(config.fps).limit_denominator(1001)
        self.time_base = 1 / rate
        self.container: OutputContainer = av.open(str(path), "w", options={"loop": "0"})
        self.stream = self.container.add_stream("gif", rate=rate)
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "pal8"
        self.graph = av.filter.Graph()
        source = self.graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgb24", width, height), time_base=self.time_base
        )
        split, sink = self.graph.add("split"), self.graph.add("buffersink")
        palette = self.graph.add("palettegen", "stats_mode=full")
        use = self.graph.add("paletteuse", "dither=bayer:bayer_scale=4")
        source.link_to(split)
        split.link_to(palette, 1, 0)
        split.link_to(use, 0, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        self.graph.configure()

    def put(self, pixels: np.ndarray, index: int) -> None:
        """Buffers frame ``index``, uint8 [H, W, 3]; the palette is known after the last one."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = index, self.time_base
        self.graph.vpush(frame)

    def finish(self, count: int) -> None:
        self.graph.vpush(None)
        for _ in range(count):
            self.container.mux(self.stream.encode(self.graph.vpull()))
        self.container.mux(self.stream.encode(None))

    def close(self) -> None:
        self.container.close()


def _metadata(suffix: str, config: VideoConfig) -> dict[str, str]:
    """The metadata fields of the container."""
    synthetic = "part" if config.part else "all"
    about = {"description": config.description, "comment": f"Synthetic: {synthetic}. Latent Editor {__version__}"}
    return about if suffix == ".mp4" else {**about, "SYNTHETIC": synthetic, "XMP": xmp(part=config.part)}


def _add_synthetic_metadata(path: Path, config: VideoConfig) -> None:
    """Adds metadata that PyAV does not write: the XMP packet of an MP4, or the XMP packet and comment of a GIF."""
    packet = xmp(part=config.part).encode()
    if path.suffix == ".mp4":
        with path.open("ab") as file:
            file.write((8 + 16 + len(packet)).to_bytes(4, "big") + b"uuid" + _XMP_BOX + packet)
    elif path.suffix == ".gif":
        data = path.read_bytes()
        assert data.endswith(b"\x3b")
        text = f"{config.description} Latent Editor {__version__}".strip().encode("utf-8")
        blocks = b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
        # The packet is not split into GIF sub-blocks; the "magic trailer" leads block-based readers out of it (XMP
        # specification, part 3, §1.1.2).
        trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
        extension = b"\x21\xff\x0bXMP DataXMP" + packet + trailer
        path.write_bytes(data[:-1] + b"\x21\xfe" + blocks + b"\x00" + extension + b"\x3b")
