"""Clips and tracks of strangers: what is read of good ones, and how bad ones are refused."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support.media_files import psnr, tone, write_sound

from latent_editor.core.errors import BadMedia
from latent_editor.media import decode
from latent_editor.media.decode import read_clip, read_track
from latent_editor.media.encode import VideoConfig, write_video


def numbered(count: int, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    """Grey pictures, each lighter than the one before."""
    return [Image.new("RGB", size, (20 + 200 * i // count,) * 3) for i in range(count)]


def brightness(pictures: tuple[Image.Image, ...]) -> list[float]:
    return [float(np.asarray(p).mean()) for p in pictures]


def test_a_track_is_read_as_it_is(tmp_path: Path) -> None:
    samples = tone(440, 1.5)
    track = read_track(write_sound(tmp_path / "a.wav", samples))
    assert (track.rate_hz, track.name) == (32_000, "a.wav")
    assert track.seconds == pytest.approx(1.5)
    assert np.abs(track.samples - samples).max() < 1e-3


def test_a_part_of_a_track_is_read(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone(440, 1.5))
    assert read_track(path, seconds=0.5).seconds == pytest.approx(0.5)
    assert read_track(path, seconds=5).seconds == pytest.approx(1.5)


def test_the_sound_of_a_video_is_a_track(tmp_path: Path) -> None:
    config = VideoConfig(fps=12, audio=write_sound(tmp_path / "a.wav", tone(440, 1.0)))
    write_video(tmp_path / "a.mp4", numbered(12), count=12, config=config)
    assert read_track(tmp_path / "a.mp4").seconds == pytest.approx(1.0, abs=0.1)
    assert read_clip(tmp_path / "a.mp4", fps=12).has_audio


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_a_clip_is_read_at_any_rate(suffix: str, tmp_path: Path) -> None:
    drawn, path = numbered(20), tmp_path / f"a{suffix}"
    write_video(path, drawn, count=20, config=VideoConfig(fps=20, quality=100))
    whole = read_clip(path, fps=20)
    assert len(whole.frames) == 20
    assert not whole.has_audio
    assert brightness(whole.frames) == pytest.approx(brightness(tuple(drawn)), abs=3)
    half = read_clip(path, fps=10)
    assert brightness(half.frames) == pytest.approx(brightness(tuple(drawn))[::2], abs=3)
    twice = read_clip(path, fps=40)
    assert brightness(twice.frames) == pytest.approx(np.repeat(brightness(tuple(drawn)), 2), abs=3)
    assert len(read_clip(path, fps=20, seconds=0.25).frames) == 5


def test_large_clips_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_SIDE_PX", 32)
    write_video(tmp_path / "a.mp4", numbered(2), count=2)
    assert read_clip(tmp_path / "a.mp4").frames[0].size == (32, 24)


def test_a_phone_held_upright_gives_upright_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    left_is_white = Image.new("RGB", (64, 48))
    left_is_white.paste((255, 255, 255), (0, 0, 32, 48))
    write_video(path, [left_is_white] * 2, count=2)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16  # of a version 0 box: flags, times and numbers, reserved and volume
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    assert data[at : at + 36] == identity
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # a quarter clockwise
    path.write_bytes(data)
    turned = read_clip(path).frames[0]
    assert turned.size == (48, 64)
    assert psnr(np.asarray(turned), np.asarray(left_is_white.rotate(-90, expand=True))) > 25


# Bad files.


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 1000, b"no media", b"RIFF\xff\xff\xff\xffWAVE", b"\0\0\0\x18ftypmp42"]
)
def test_what_is_no_media_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for read in (read_track, read_clip):
        with pytest.raises(BadMedia, match="a.mp4"):
            read(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="does not exist"):
        read_track(tmp_path / "a.wav")
    with pytest.raises(BadMedia, match="folder or device"):
        read_clip(tmp_path)
    with pytest.raises(BadMedia, match="does not exist"):
        read_track("http://127.0.0.1:9/a.mp3")


def test_a_playlist_cannot_name_other_files(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", tone(440, 0.2))
    lists = {
        "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.wav\n#EXT-X-ENDLIST\n",
        "ffconcat": "ffconcat version 1.0\nfile a.wav\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for kind, text in lists.items():
        path = tmp_path / f"list.{kind}"
        path.write_text(text)
        with pytest.raises(BadMedia, match="cannot be read as audio"):
            read_track(path)


def test_sound_without_pictures_and_pictures_without_sound_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="has no video"):
        read_clip(write_sound(tmp_path / "a.wav", tone(440, 0.2)))
    write_video(tmp_path / "a.mp4", numbered(2), count=2)
    with pytest.raises(BadMedia, match="has no audio"):
        read_track(tmp_path / "a.mp4")


def test_an_empty_track_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match=r"a\.wav"):
        read_track(write_sound(tmp_path / "a.wav", np.zeros(0)))


def test_a_two_hour_track_is_refused_at_once_unless_a_part_is_asked_for(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone(10, 7200, rate_hz=100), rate_hz=100)
    with pytest.raises(BadMedia, match=r"too long \(120 minutes\); the limit is 600 seconds"):
        read_track(path)
    assert read_track(path, seconds=2).seconds == pytest.approx(2)


def test_a_track_that_lies_about_its_length_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound(tmp_path / "a.wav", tone(440, 2.0))
    monkeypatch.setattr(decode, "_check_length", lambda *_: None)
    monkeypatch.setattr(decode, "MAX_SECONDS", 1.0)
    with pytest.raises(BadMedia, match="too long"):
        read_track(path)


def test_long_and_large_clips_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, numbered(30), count=30, config=VideoConfig(fps=10))
    monkeypatch.setattr(decode, "MAX_FRAMES", 20)
    with pytest.raises(BadMedia, match="too long"):
        read_clip(path, fps=10)
    assert len(read_clip(path, fps=10, seconds=1).frames) == 10
    monkeypatch.setattr(decode, "_check_length", lambda *_: None)
    with pytest.raises(BadMedia, match="too long"):
        read_clip(path, fps=10)
    monkeypatch.undo()
    monkeypatch.setattr(decode, "MAX_PIXELS", 1000)
    with pytest.raises(BadMedia, match="64 × 48 pixels"):
        read_clip(path)


def test_large_files_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sound(tmp_path / "a.wav", tone(440, 0.1))
    monkeypatch.setattr(decode, "MAX_BYTES", 100)
    with pytest.raises(BadMedia, match="more than 0 MB"):
        read_track(path)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_lengths_that_are_none_are_refused(seconds: float, tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone(440, 0.1))
    with pytest.raises(BadMedia, match="above 0"):
        read_track(path, seconds=seconds)


def test_a_clip_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    noise = np.random.default_rng(0)
    drawn = [Image.fromarray(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)) for _ in range(30)]
    write_video(path, drawn, count=30, config=VideoConfig(fps=10))
    whole = path.read_bytes()
    for share in (0.1, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        try:
            assert 1 <= len(read_clip(path, fps=10).frames) <= 30
        except BadMedia:
            assert share < 0.3


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_damaged_files_raise_nothing_else(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_video(path, numbered(6), count=6, config=VideoConfig(fps=6))
    whole, seeded = path.read_bytes(), np.random.default_rng(3)
    read = 0
    for _ in range(60):
        data = bytearray(whole)
        for at in seeded.integers(0, len(data), 8):
            data[at] = seeded.integers(0, 256)
        path.write_bytes(data)
        try:
            assert len(read_clip(path, fps=6, seconds=2).frames) <= 12
            read += 1
        except BadMedia:
            pass
    assert read < 60


def test_formats_that_name_other_files_are_not_tried() -> None:
    for name in ("hls", "concat", "dash", "sdp", "image2", "rtsp", "applehttp", "lavfi"):
        assert name not in decode.FORMATS.split(",")
    assert {"mov", "matroska", "webm", "mp3", "wav"} <= set(decode.FORMATS.split(","))
    assert "wav" in av.formats_available
