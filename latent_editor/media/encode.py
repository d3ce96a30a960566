"""From pictures to a file that moves: MP4 (H.264), WebM (VP9) or GIF, which says that it is synthetic."""

from __future__ import annotations

import math
import os
import tempfile
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

from latent_editor.core.errors import BadValue, Stopped
from latent_editor.core.values import OnStep, Step
from latent_editor.media.decode import sound_blocks
from latent_editor.media.exports import xmp
from latent_editor.version import __version__

#: By the file's ending: the encoder, its options beside the quality, and the encoder of the sound.
FORMATS: dict[str, tuple[str, dict[str, str], str | None]] = {
    ".mp4": ("libx264", {"preset": "medium"}, "aac"),
    ".webm": ("libvpx-vp9", {"deadline": "good", "cpu-used": "4", "row-mt": "1", "b": "0"}, "libopus"),
    ".gif": ("gif", {}, None),
}
VIDEO_SUFFIXES = tuple(FORMATS)
#: What can be asked for. A GIF holds its pictures in memory until its palette is known, so that it is shorter; faster
#: ones are shown slowly by browsers.
MAX_SECONDS, MAX_FPS, MAX_GIF_FPS = 600.0, 60.0, 50.0
MAX_SIDE_PX, MIN_SIDE_PX, MAX_GIF_PIXELS = 2048, 16, 80_000_000
SOUND_RATE_HZ = 48_000
#: An XMP packet is a box of this name in an MP4 (XMP specification, part 3, §1.2.7).
_XMP_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
_STOPPED = "Stopped: no video was written, and one that was there before is as it was."


@dataclass(frozen=True)
class VideoConfig:
    """How pictures become a video.

    Attributes:
        fps: Pictures a second, above 0, at most 60 (GIF: 50).
        quality: Constant, 1 to 100; 75 is hard to tell from the pictures. A GIF has but one.
        description: For the file's metadata, beside the statement that it is synthetic.
        part: Only a part of the pictures is synthetic.
        sound: A file whose sound is laid under the video, from its start; a GIF leaves it out.
    """

    fps: float = 25.0
    quality: int = 75
    description: str = ""
    part: bool = False
    sound: Path | None = None


@dataclass(frozen=True)
class Video:
    """A video that was written.

    Attributes:
        path: Where.
        frames: How many pictures.
        seconds: How long.
        size: Width and height in pixels.
        has_sound: Whether there is sound in it.
    """

    path: Path
    frames: int
    seconds: float
    size: tuple[int, int]
    has_sound: bool = False


def frame_count(seconds: float, fps: float) -> int:
    """How many pictures so many seconds have, one at least.

    Raises:
        BadValue: a number that is not finite or out of range.
    """
    if not 0 < fps <= MAX_FPS:  # false for NaN too
        raise BadValue(f"Got {fps:g} pictures a second; expected a number above 0 and at most {MAX_FPS:g}.")
    if not 0 < seconds <= MAX_SECONDS:
        raise BadValue(f"Got a video of {seconds:g} seconds; expected a number above 0 and at most {MAX_SECONDS:g}.")
    return max(1, round(seconds * fps))


def check_video(path: str | Path, size: tuple[int, int], count: int, config: VideoConfig) -> None:
    """Finds out before anything is drawn whether the video can be written.

    Raises:
        BadValue: an unknown ending, or a size, length, rate or quality out of range.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise BadValue(f"The video {Path(path).name!r} should end in {', '.join(VIDEO_SUFFIXES)}. Name it so.")
    if not 1 <= config.quality <= 100:
        raise BadValue(f"Got the quality {config.quality}; expected 1 to 100.")
    frame_count(count / config.fps if config.fps > 0 else math.nan, config.fps)
    if not MIN_SIDE_PX <= min(size) <= max(size) <= MAX_SIDE_PX:
        raise BadValue(
            f"Got pictures of {size[0]} × {size[1]} pixels; a video has sides of {MIN_SIDE_PX} to {MAX_SIDE_PX}."
        )
    if suffix == ".gif" and config.fps > MAX_GIF_FPS:
        raise BadValue(f"Got {config.fps:g} pictures a second; a GIF shows at most {MAX_GIF_FPS:g}.")
    if suffix == ".gif" and count * size[0] * size[1] > MAX_GIF_PIXELS:
        most = MAX_GIF_PIXELS // (size[0] * size[1])
        raise BadValue(
            f"A GIF of {count} pictures of {size[0]} × {size[1]} pixels would be huge; at most {most} fit. "
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
    """Encodes pictures as they come.

    The file appears when it is whole: it is written beside its place and moved there at the end. Odd sides get one
    more row or column, a copy of the last, where the format needs even ones.

    Args:
        path: Where; its ending says the format: ``.mp4``, ``.webm`` or ``.gif`` (which repeats for ever).
        frames: RGB pictures, all of one size.
        count: How many there are.
        config: Rate, quality, what to say of it, sound.
        on_step: Called after every picture; a true answer stops, and nothing is written.

    Raises:
        BadValue: an unknown ending, or a size, length, rate or quality out of range.
        BadMedia: the sound cannot be read.
        Stopped: ``on_step`` gave a true answer.
    """
    path, config = Path(path), config or VideoConfig()
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise BadValue("There are no pictures to make a video of. Ask for a longer one.")
    check_video(path, first.size, count, config)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix.lower())
    os.close(handle)
    try:
        encoder = _GifEncoder if path.suffix.lower() == ".gif" else _Encoder
        done = _encode(encoder(Path(temporary), first.size, config), first, pictures, count, on_step)
        _state_synthetic(Path(temporary), config)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    has_sound = config.sound is not None and path.suffix.lower() != ".gif"
    return Video(path, done, done / config.fps, first.size, has_sound)


def _encode(
    encoder: _Encoder | _GifEncoder,
    first: Image.Image,
    rest: Iterator[Image.Image],
    count: int,
    on_step: OnStep | None,
) -> int:
    """Puts all pictures into an encoder; their number."""
    began, done = time.monotonic(), 0
    try:
        picture: Image.Image | None = first
        while picture is not None and done < count:
            if picture.size != first.size:
                raise BadValue(f"Picture {done} has {picture.size} pixels, the first {first.size}. Make them alike.")
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
    """H.264 or VP9, with sound where there is some."""

    def __init__(self, path: Path, size: tuple[int, int], config: VideoConfig) -> None:
        codec, options, sound_codec = FORMATS[path.suffix]
        self.fps = Fraction(config.fps).limit_denominator(1001)
        # Lower is better: 18 of x264's scale and 26 of VP9's at a quality of 75.
        crf = 38 - 0.27 * config.quality if codec == "libx264" else 50 - 0.32 * config.quality
        container_options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
        self.container: OutputContainer = av.open(str(path), "w", container_options=container_options)
        self.container.metadata.update(_metadata(path.suffix, config))
        width, height = (side + side % 2 for side in size)
        options = {**options, "crf": f"{crf:.0f}"}
        self.stream = cast(VideoStream, self.container.add_stream(codec, rate=self.fps, options=options))
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"
        context = self.stream.codec_context
        # BT.709, limited range, said so: players guess otherwise, each its own way.
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        self.sound = _Sound(self.container, sound_codec, config.sound) if config.sound and sound_codec else None

    def put(self, pixels: np.ndarray, index: int) -> None:
        """Encodes picture ``index``, uint8 [H, W, 3]."""
        height, width = pixels.shape[:2]
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC"
        )
        frame.pts, frame.time_base = index, 1 / self.fps
        self.container.mux(self.stream.encode(frame))
        if self.sound is not None:
            self.sound.put_until((index + 1) / self.fps)

    def finish(self, count: int) -> None:
        self.container.mux(self.stream.encode(None))
        if self.sound is not None:
            self.sound.finish(count / self.fps)

    def close(self) -> None:
        self.container.close()


class _Sound:
    """A track laid under a video, at the video's pace."""

    def __init__(self, container: OutputContainer, codec: str, source: Path) -> None:
        self.container = container
        self.stream = cast(AudioStream, container.add_stream(codec, rate=SOUND_RATE_HZ, layout="stereo"))
        self.stream.bit_rate = 160_000
        self.blocks = sound_blocks(source, rate_hz=SOUND_RATE_HZ, channels=2, seconds=MAX_SECONDS)
        self.waiting: np.ndarray | None = next(self.blocks, None)  # what is wrong with the file shows here
        self.done = 0

    def put_until(self, end_s: Fraction) -> None:
        """Encodes what sounds before ``end_s``."""
        end = round(end_s * SOUND_RATE_HZ)
        while self.waiting is not None and self.done < end:
            now, later = np.split(self.waiting, [end - self.done], axis=1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(now), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE_HZ, self.done, Fraction(1, SOUND_RATE_HZ)
            self.done += now.shape[1]
            self.container.mux(self.stream.encode(frame))
            self.waiting = later if later.shape[1] else next(self.blocks, None)

    def finish(self, end_s: Fraction) -> None:
        self.put_until(end_s)
        self.container.mux(self.stream.encode(None))


class _GifEncoder:
    """One palette for all pictures, and an ordered dither: what does not move does not flicker, and packs well.

    Refused: a palette for each picture, with +0.6 dB and 1.8 times the bytes; error diffusion, with −1.5 dB and 1.4
    times the bytes (48 pictures of 128² pixels, a face that changes).
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
        """Takes picture ``index``, uint8 [H, W, 3]; the palette is known after the last."""
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
    """What the container's own fields hold."""
    synthetic = "part" if config.part else "all"
    about = {"description": config.description, "comment": f"Synthetic: {synthetic}. Latent Editor {__version__}"}
    return about if suffix == ".mp4" else {**about, "SYNTHETIC": synthetic, "XMP": xmp(part=config.part)}


def _state_synthetic(path: Path, config: VideoConfig) -> None:
    """Adds what PyAV does not write: the XMP packet of an MP4, and that and the description of a GIF."""
    packet = xmp(part=config.part).encode()
    if path.suffix == ".mp4":
        with path.open("ab") as file:
            file.write((8 + 16 + len(packet)).to_bytes(4, "big") + b"uuid" + _XMP_BOX + packet)
    elif path.suffix == ".gif":
        data = path.read_bytes()
        assert data.endswith(b"\x3b")
        text = f"{config.description} Latent Editor {__version__}".strip().encode("utf-8")
        blocks = b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
        # The packet lies bare, and readers that know blocks only are led out by a slide of falling numbers (XMP
        # specification, part 3, §1.1.2).
        slide = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
        extension = b"\x21\xff\x0bXMP DataXMP" + packet + slide
        path.write_bytes(data[:-1] + b"\x21\xfe" + blocks + b"\x00" + extension + b"\x3b")
