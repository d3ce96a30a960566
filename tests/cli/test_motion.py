"""The commands that mix, animate and edit folders, through their real entry, with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.media_files import read_pictures, tone, write_sound
from support.shell import Shell

import latent_editor as le
from latent_editor.cli.commands.animate import _audio_reactive, _keyframe, name_and_range
from latent_editor.core.values import Direction, Directions
from latent_editor.directions import DIRECTIONS_FILE, write_directions
from latent_editor.generators import load_generator
from latent_editor.media.encode import VideoConfig, write_video
from latent_editor.models.bundle import MODEL_FILE


@pytest.fixture
def model(tiny: str) -> str:
    """A tiny model that shows no faces and has two sliders."""
    (Path(tiny) / MODEL_FILE).write_text(json.dumps({"name": "tiny", "faces": False}), encoding="utf-8")
    g = load_generator(tiny)
    seeded = torch.Generator().manual_seed(4)
    sliders = Directions(
        Direction(name, torch.randn(g.num_ws, g.w_dim, generator=seeded) * 0.3, source="pca")
        for name in ("long hair", "smile")
    )
    write_directions(sliders, Path(tiny) / DIRECTIONS_FILE, fingerprint=g.fingerprint)
    return tiny


@pytest.fixture
def face(shell: Shell, model: str, tmp_path: Path) -> Path:
    for seed in (1, 2):
        shell.json("random", "--seed", seed, "--psi", 1, "-o", tmp_path / f"{seed}.latent", "--model", model)
    return tmp_path / "1.latent"


@pytest.fixture
def animate(shell: Shell, model: str, face: Path, tmp_path: Path):
    def run(*words: object, name: str = "a.mp4") -> dict:
        told = shell.json("animate", face, "-o", tmp_path / name, "--fps", 10, "--model", model, *words)
        return {**told, "pictures": read_pictures(tmp_path / name)}

    return run


def test_a_slider_moves_in_a_loop(animate) -> None:
    told = animate("--slider", "long=-2..2", "--seconds", 1, "--loop", "--size", 64)
    assert (told["frames"], told["seconds"], told["size_px"], told["moving"]) == (10, 1.0, [64, 64], ["long hair"])
    seen = np.stack(told["pictures"]).astype(float)
    assert seen.shape == (10, 64, 64, 3)
    steps = [np.abs(seen[(i + 1) % 10] - seen[i]).mean() for i in range(10)]
    assert steps[-1] <= 1.3 * max(steps[:-1])
    assert np.abs(seen[5] - seen[0]).mean() > 3 * steps[-1]


def test_keyframes_faces_and_recipes(animate, shell: Shell, model: str, face: Path, tmp_path: Path) -> None:
    keyframes = ("--keyframe", "0: smile=0", "--keyframe", "0.5: smile=2, long hair=1", "--keyframe", "1: smile=0")
    assert animate(*keyframes, "--seconds", 1, "--ease", "spline", name="a.webm")["moving"] == ["smile", "long hair"]
    recipe = tmp_path / "a.recipe"
    shell.json("edit", face, "-o", tmp_path / "x.png", "--set", "smile=2", "--save-recipe", recipe, "--model", model)
    told = animate(
        "--target-face", tmp_path / "2.latent", "--recipe", recipe, "--seconds", 0.5, "--noise", 3, name="a.gif"
    )
    assert (told["frames"], told["moving"]) == (5, [])
    first, last = (p.astype(float) for p in (told["pictures"][0], told["pictures"][-1]))
    assert np.abs(first - last).mean() > 2


def test_a_slider_follows_a_track_as_long_as_it_sounds(animate, tmp_path: Path) -> None:
    track = write_sound(tmp_path / "a.wav", np.concatenate([tone(440, 0.5, 0.0), tone(440, 0.7)]))
    told = animate("--audio", track, "--audio-reactive", "smile=0..3,mid")
    assert (told["frames"], told["sound"]) == (12, True)
    seen = [p.astype(float) for p in told["pictures"]]
    assert np.abs(seen[10] - seen[1]).mean() > 5 * np.abs(seen[3] - seen[1]).mean()


def test_a_model_without_an_encoder_takes_no_motion(shell: Shell, model: str, face: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", [Image.new("RGB", (64, 64))] * 4, count=4, config=VideoConfig(fps=4))
    words = ("animate", face, "-o", tmp_path / "a.mp4", "--clip", tmp_path / "clip.mp4", "--model", model)
    assert "encoder" in shell.refuses(*words, code=1)


def test_bad_videos_are_refused(shell: Shell, model: str, face: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"

    def refused(*words: object, output: Path = out) -> str:
        message = shell.refuses("animate", face, "-o", output, "--model", model, *words)
        assert not out.exists()
        return message

    slider = ("--slider", "smile=0..1")
    assert "Nothing moves" in refused()
    assert "must end in" in refused(*slider, output=tmp_path / "a.avi")
    assert "at most 600" in refused(*slider, "--seconds", 7200)
    assert "above 0" in refused(*slider, "--fps", 0)
    assert "frames per second" in refused(*slider, "--fps", 100)
    assert "16 to 2048" in refused(*slider, "--size", 4)
    assert "quality" in refused(*slider, "--quality", 101)
    assert "easing 'bouncy'" in refused(*slider, "--ease", "bouncy")
    assert "No direction is called 'hat'" in refused("--slider", "hat=0..1")
    assert "expected a name and a range" in refused("--slider", "smile")
    assert "Name one with --audio" in refused("--audio-reactive", "smile=0..1")
    assert "does not exist" in refused("--audio-reactive", "smile=0..1", "--audio", tmp_path / "none.mp3")
    assert "does not exist" in refused("--clip", tmp_path / "none.mp4")
    assert "Make it longer" in refused("--keyframe", "0: smile=0", "--keyframe", "9: smile=1")
    long = write_sound(tmp_path / "long.wav", tone(10, 7200, rate_hz=100), rate_hz=100)
    assert "too long (120 minutes)" in refused("--audio", long, "--audio-reactive", "smile=0..1")


def test_ranges_and_keyframes_are_parsed() -> None:
    assert name_and_range("a=b=-2..2") == ("a=b", -2, 2)
    assert name_and_range("age = 3") == ("age", 0, 3)
    assert _audio_reactive("smile=0..2,low") == (("smile", 0, 2), "low")
    assert _audio_reactive("red, long hair=-1..1") == (("red, long hair", -1, 1), "all")
    assert _keyframe("1.5: age=2, smile=-1") == (1.5, [("age", 2), ("smile", -1)])
    assert _keyframe("0:") == (0, [])


def test_faces_are_mixed(shell: Shell, model: str, face: Path, tmp_path: Path) -> None:
    a, b, out = face, tmp_path / "2.latent", tmp_path / "m.latent"
    shell.json("mix", a, b, "-o", out, "--layers", "coarse", "--model", model)
    one, two, mixed = (le.Latent.load(path).ws for path in (a, b, out))
    assert torch.equal(mixed[:4], two[:4])
    assert torch.equal(mixed[4:], one[4:])
    shell.json("mix", a, b, a, "-o", out, "--weights", "1,2,1", "--path", "linear", "--model", model)
    assert torch.allclose(le.Latent.load(out).ws, (one + two) / 2, atol=1e-6)
    pictures = []
    for noise in ("const", "7", "7"):
        shell.json("mix", a, b, "-o", tmp_path / "m.png", "--noise", noise, "--model", model)
        pictures.append((tmp_path / "m.png").read_bytes())
    assert pictures[1] == pictures[2]
    assert "expected two with --layers" in shell.refuses("mix", a, "-o", out, "--model", model)
    assert "weights" in shell.refuses("mix", a, b, "-o", out, "--weights", "1", "--model", model)
    assert "'hair'" in shell.refuses("mix", a, b, "-o", out, "--layers", "hair", "--model", model)
    assert "'loud'" in shell.refuses("mix", a, b, "-o", out, "--noise", "loud", "--model", model)


def test_a_recipe_is_replayed_on_a_face_and_on_a_folder(
    shell: Shell,
    model: str,
    face: Path,
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "a.recipe"
    first = shell.json(
        "edit", face, "-o", tmp_path / "x.png", "--set", "smile=2", "--save-recipe", recipe, "--model", model
    )
    again = shell.json("edit", face, "-o", tmp_path / "y.png", "--recipe", recipe, "--model", model)
    assert first["edits"] == again["edits"]
    with Image.open(tmp_path / "x.png") as x, Image.open(tmp_path / "y.png") as y:
        assert x.tobytes() == y.tobytes()
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    Image.new("RGB", (64, 48), (200, 120, 90)).save(photos / "a.png")
    words = ("batch", photos, "--recipe", recipe, "-o", out, "--method", "w", "--seconds", 0.01, "--model", model)
    assert shell.json(*words)["counts"] == {"done": 1, "kept": 0, "no face": 0, "failed": 0}
    (photos / "b.jpg").write_bytes(b"no photo")
    assert shell(*words) == 1
    assert shell.out == f"{out}: 0 edited, 1 already done, 1 failed\n"
    assert "b.jpg: " in shell.err
    assert (out / "contact sheet.png").is_file()


def test_bad_batches_are_refused(shell: Shell, model: str, tmp_path: Path) -> None:
    recipe, out = tmp_path / "a.recipe", tmp_path / "out"
    words = ("batch", tmp_path, "--recipe", recipe, "-o", out, "--model", model)
    assert "contains no photo" in shell.refuses(*words)
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    assert "a.recipe does not exist" in shell.refuses(*words)
    recipe.write_text('{"format": "latent-editor recipe", "version": 9, "edits": []}')
    assert "newer Latent Editor" in shell.refuses(*words)
    recipe.write_text('{"format": "latent-editor recipe", "version": 1, "edits": [{"slider": "hat", "strength": 1}]}')
    assert "'hat'" in shell.refuses(*words)
    assert "is a file" in shell.refuses("batch", tmp_path, "--recipe", recipe, "-o", recipe, "--model", model)
    assert not out.exists()
