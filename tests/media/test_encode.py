"""Videos that were written, decoded again: the same pictures, at the right times, and honest about what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support.media_files import psnr, read_pictures, tone, write_sound

from latent_editor.core.errors import BadMedia, BadValue, Stopped
from latent_editor.core.values import Step
from latent_editor.media.encode import VIDEO_SUFFIXES, VideoConfig, frame_count, write_video


def pictures(count: int = 12, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    """Coloured blobs that move: smooth, so that a good encoder is near to them."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float64)
    found = []
    for i in range(count):
        turn = 2 * np.pi * i / count
        waves = [np.sin(x / 11 + turn), np.cos(y / 9 - turn), np.sin((x + y) / 17 + turn)]
        found.append(Image.fromarray((128 + 60 * np.stack(waves, -1)).astype(np.uint8)))
    return found


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_what_is_read_back_is_what_was_written(suffix: str, size: tuple[int, int], tmp_path: Path) -> None:
    drawn, path = pictures(size=size), tmp_path / "new" / f"a{suffix}"
    video = write_video(path, drawn, count=12, config=VideoConfig(fps=12))
    assert (video.path, video.frames, video.seconds, video.size) == (path, 12, 1.0, size)
    seen = read_pictures(path)
    assert len(seen) == 12
    wide, high = size if suffix == ".gif" else (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert seen[0].shape == (high, wide, 3)
    for now, then in zip(seen, drawn, strict=True):
        assert psnr(now[: size[1], : size[0]], then) > 30
    assert psnr(seen[0][: size[1], : size[0]], drawn[6]) < 20  # of other pictures it is far
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(1e6, abs=2e4)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_colors_are_said_to_be_what_they_are(tmp_path: Path) -> None:
    """A player takes the colors as tagged; flat ones survive to a step or two."""
    for suffix in (".mp4", ".webm"):
        for color in ((200, 30, 40), (30, 180, 60), (20, 40, 220), (255, 255, 255), (0, 0, 0)):
            path = tmp_path / f"a{suffix}"
            write_video(path, [Image.new("RGB", (32, 32), color)] * 2, count=2)
            with av.open(str(path)) as container:
                context = container.streams.video[0].codec_context
                assert (context.colorspace, context.color_range) == (1, 1)
                frame = next(container.decode(video=0))
                seen = frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
            assert np.abs(seen.astype(int) - color).max() <= 4


def test_better_quality_is_nearer_and_larger(tmp_path: Path) -> None:
    for suffix in (".mp4", ".webm"):
        likeness, sizes = [], []
        for quality in (20, 60, 100):
            path = tmp_path / f"{quality}{suffix}"
            write_video(path, pictures(), count=12, config=VideoConfig(quality=quality))
            likeness.append(np.mean([psnr(a, b) for a, b in zip(read_pictures(path), pictures(), strict=True)]))
            sizes.append(path.stat().st_size)
        assert likeness == sorted(likeness)
        assert sizes == sorted(sizes)


def test_a_gif_repeats_for_ever_at_its_pace(tmp_path: Path) -> None:
    write_video(tmp_path / "a.gif", pictures(30), count=30, config=VideoConfig(fps=30, description="Zoë"))
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 30
        assert image.info["loop"] == 0
        shown = []
        for i in range(30):
            image.seek(i)
            shown.append(image.info["duration"])
    assert sum(shown) == pytest.approx(1000, abs=20)
    assert "Zoë".encode() in (tmp_path / "a.gif").read_bytes()


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_it_says_that_it_is_synthetic(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    for part, kind in ((False, b"/trainedAlgorithmicMedia"), (True, b"/compositeWithTrainedAlgorithmicMedia")):
        write_video(path, pictures(2), count=2, config=VideoConfig(description="Made by tiny.", part=part))
        assert kind in path.read_bytes()
        with av.open(str(path)) as container:
            told = {key.lower(): value for key, value in container.metadata.items()}
        if suffix != ".gif":
            assert told["description"] == "Made by tiny."
            assert ("Synthetic: part" if part else "Synthetic: all") in told["comment"]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_sound_lies_under_the_video_and_ends_with_it(suffix: str, tmp_path: Path) -> None:
    samples = np.concatenate([tone(440, 0.5), tone(440, 2.0, 0.05)])
    config = VideoConfig(fps=12, audio=write_sound(tmp_path / "a.wav", samples))
    video = write_video(tmp_path / f"a{suffix}", pictures(), count=12, config=config)
    assert video.has_audio == (suffix != ".gif")
    if not video.has_audio:
        return
    with av.open(str(video.path)) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(heard) / 48_000 == pytest.approx(1.0, abs=0.05)
    loud, quiet = (np.sqrt((heard[a:b] ** 2).mean()) for a, b in ((4_800, 19_200), (28_800, 43_200)))
    # A middle in both of two loudspeakers is 3 dB weaker in each.
    assert loud == pytest.approx(0.5 / 2, rel=0.1)
    assert quiet == pytest.approx(0.05 / 2, rel=0.2)


def test_a_short_track_ends_before_the_video(tmp_path: Path) -> None:
    config = VideoConfig(fps=12, audio=write_sound(tmp_path / "a.wav", tone(440, 0.3)))
    video = write_video(tmp_path / "a.mp4", pictures(24), count=24, config=config)
    assert len(read_pictures(video.path)) == 24


# Stopping and failing.


def failing() -> Iterator[Image.Image]:
    yield from pictures(3)
    raise BadValue("no more")


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_video_that_is_not_finished_leaves_the_old_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    steps: list[Step] = []
    with pytest.raises(Stopped, match="no video was written"):
        write_video(path, pictures(), count=12, on_step=lambda step: steps.append(step) or len(steps) == 5)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5]
    with pytest.raises(BadValue, match="no more"):
        write_video(path, failing(), count=12)
    with pytest.raises(BadValue, match="Frame 1 has"):
        write_video(path, [*pictures(1), *pictures(1, (32, 32))], count=2)
    if suffix != ".gif":  # which has no sound
        with pytest.raises(BadMedia, match="does not exist"):
            write_video(path, pictures(), count=12, config=VideoConfig(audio=tmp_path / "b.wav"))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("fps", [0, -1, 61, float("nan"), float("inf")])
def test_rates_out_of_range_are_refused(fps: float, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="frames per second"):
        frame_count(1.0, fps)
    with pytest.raises(BadValue):
        write_video(tmp_path / "a.mp4", pictures(), count=12, config=VideoConfig(fps=fps))


@pytest.mark.parametrize("seconds", [0, -1, 7200, float("nan"), float("inf")])
def test_lengths_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(BadValue, match="seconds"):
        frame_count(seconds, 25)


def test_frames_are_counted() -> None:
    assert frame_count(4, 25) == 100
    assert frame_count(0.001, 25) == 1
    assert frame_count(1, 29.97) == 30


@pytest.mark.parametrize(
    ("name", "size", "count", "config", "match"),
    [
        ("a.avi", (64, 64), 2, VideoConfig(), "end in .mp4, .webm, .gif"),
        ("a", (64, 64), 2, VideoConfig(), "end in"),
        ("a.mp4", (64, 64), 2, VideoConfig(quality=0), "quality 0"),
        ("a.mp4", (8, 8), 2, VideoConfig(), "sides of 16 to 2048"),
        ("a.mp4", (2050, 16), 2, VideoConfig(), "sides of 16 to 2048"),
        ("a.gif", (64, 64), 2, VideoConfig(fps=60), "at most 50"),
        ("a.gif", (1024, 1024), 100, VideoConfig(), "too large"),
    ],
)
def test_what_no_video_can_be_is_refused(
    name: str, size: tuple[int, int], count: int, config: VideoConfig, match: str, tmp_path: Path
) -> None:
    with pytest.raises(BadValue, match=match):
        write_video(tmp_path / name, [Image.new("RGB", size)] * 2, count=count, config=config)
    assert not list(tmp_path.iterdir())


def test_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="no frames"):
        write_video(tmp_path / "a.mp4", [], count=1)
