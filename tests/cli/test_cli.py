"""The shell command: every command through its real entry, bad input, interrupts, progress."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.environment import ROOT
from support.shell import Shell

import latent_editor as le
from latent_editor.cli.commands.edit import find_direction
from latent_editor.cli.parser import name_and_strength, whole_number
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt
from latent_editor.core.values import Direction, Directions, Step
from latent_editor.generators.loading import GENERATOR_FILE


def start(*words: object, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "latent_editor", *map(str, words)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Random faces and plain edits, with a tiny model.


def test_random_writes_a_picture(shell: Shell, tiny: str, tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    data = shell.json("random", "--seed", 3, "-o", path, "--model", tiny)
    assert data == {"seed": 3, "truncation_psi": 0.7, "model": "tiny", "output": str(path)}
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (32, 32), "RGB")
    first = path.read_bytes()
    shell.json("random", "--seed", 3, "-o", path, "--model", tiny)
    assert path.read_bytes() == first
    shell.json("random", "--seed", 4, "-o", path, "--model", tiny)
    assert path.read_bytes() != first


def test_random_writes_a_latent_that_edit_renders(shell: Shell, tiny: str, tmp_path: Path) -> None:
    shell.json("random", "--seed", 3, "--psi", 1, "-o", tmp_path / "a.latent", "--model", tiny)
    data = shell.json("edit", tmp_path / "a.latent", "-o", tmp_path / "edited.png", "--model", tiny)
    assert data["edits"] == []
    shell.json("random", "--seed", 3, "--psi", 1, "-o", tmp_path / "direct.png", "--model", tiny)
    with Image.open(tmp_path / "edited.png") as a, Image.open(tmp_path / "direct.png") as b:
        assert a.tobytes() == b.tobytes()


def test_a_line_for_people(shell: Shell, tiny: str, tmp_path: Path) -> None:
    assert shell("random", "--seed", 3, "-o", tmp_path / "face.png", "--model", tiny) == 0
    assert shell.out == f"{tmp_path / 'face.png'}: seed 3, psi 0.7\n"


# The whole chain, with the embedded model.


@pytest.fixture(scope="module")
def inverted(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The astronaut's latent, made by the command in a process of its own; what it printed."""
    folder = tmp_path_factory.mktemp("inverted")
    photo = shared_folder / "photos" / "astronaut.png"
    words = ("invert", photo, "-o", "me.latent", "--method", "w+", "--seconds", "600", "--steps", "3", "--json")
    process = start(*words, folder=folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return folder / "me.latent", json.loads(out.splitlines()[-1]), err


def test_invert_says_how_it_went(inverted: tuple[Path, dict[str, Any], str]) -> None:
    path, data, err = inverted
    assert {"psnr_db", "seconds", "steps", "method"} <= set(data)
    assert data["psnr_db"] > 10
    assert data["seconds"] > 0
    assert data["method"] == "w+"
    latent = le.Latent.load(path)
    assert latent.psnr_db == data["psnr_db"]
    assert "Encoder" in err
    assert " 100 %" in err
    assert "Warning" not in err


def test_edit_sets_sliders_and_pastes(
    inverted: tuple[Path, dict[str, Any], str], shell: Shell, shared_folder: Path, tmp_path: Path
) -> None:
    path, photo = inverted[0], shared_folder / "photos" / "astronaut.png"
    name = le.named_directions(le.load_generator("portraits")).names[0]
    plain, edited, whole = (tmp_path / f"{n}.png" for n in ("plain", "edited", "whole"))
    shell.json("edit", path, "-o", plain)
    data = shell.json("edit", path, "-o", edited, "--set", f"{name.upper()}=2")
    assert data["edits"][0]["name"] == name
    assert data["edits"][0]["strength"] == 2
    with Image.open(plain) as a, Image.open(edited) as b:
        assert a.tobytes() != b.tobytes()
    data = shell.json("edit", path, "-o", whole, "--set", f"{name}=2", "--paste", photo)
    assert data["pasted"] is True
    with Image.open(whole) as a, Image.open(photo) as b:
        assert a.size == b.size
        assert a.getpixel((0, 0)) == b.convert("RGB").getpixel((0, 0))
        assert a.tobytes() != b.convert("RGB").tobytes()


def test_edit_takes_a_prompt(inverted: tuple[Path, dict[str, Any], str], shell: Shell, tmp_path: Path) -> None:
    plain, red = tmp_path / "plain.png", tmp_path / "red.png"
    shell.json("edit", inverted[0], "-o", plain)
    data = shell.json("edit", inverted[0], "-o", red, "--prompt", "red hair=1.5")
    assert [(e["strength"], e["source"]) for e in data["edits"]] == [(1.5, "text")]
    with Image.open(plain) as a, Image.open(red) as b:
        assert a.tobytes() != b.tobytes()


def test_directions_are_listed(shell: Shell) -> None:
    rows = shell.json("directions")["directions"]
    assert len(rows) >= 12
    assert len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        assert row["low"] < 0 < row["high"]
    assert shell("directions") == 0
    assert all(row["name"] in shell.out for row in rows)


def test_an_interrupt_keeps_the_best_so_far(shared_folder: Path, tmp_path: Path) -> None:
    photo = shared_folder / "photos" / "astronaut.png"
    words = ("invert", photo, "-o", "me.latent", "--method", "w+", "--seconds", "3600", "--json")
    with start(*words, folder=tmp_path) as process:
        assert process.stderr is not None
        assert "Encoder" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert json.loads(out)["stopped"] is True
    assert le.Latent.load(tmp_path / "me.latent").psnr_db is not None


# Bad input.


def test_bad_words_are_explained(shell: Shell, tmp_path: Path) -> None:
    assert "COMMAND" in shell.refuses()
    assert "'paint'" in shell.refuses("paint")
    assert "-o/--output" in shell.refuses("random", "--seed", 1)
    assert "'x', expected an integer" in shell.refuses("random", "--seed", "x", "-o", "a.png")
    for strength in ("x", "nan", "inf", ""):
        assert "expected a number" in shell.refuses("edit", "a.latent", "-o", "a.png", "--set", f"age={strength}")
    assert 'as in "age=1.5"' in shell.refuses("edit", "a.latent", "-o", "a.png", "--prompt", "a beard")
    assert "above 0" in shell.refuses("invert", "a.png", "-o", "a.latent", "--seconds", "0")


def test_bad_words_are_explained_in_json_too(shell: Shell) -> None:
    assert shell("random", "--seed", "x", "-o", "a.png", "--json") == 2
    told = json.loads(shell.out)
    assert told["error"] == "BadValue"
    assert "'x'" in told["message"]


def test_bad_outputs_are_refused_before_the_work(shell: Shell, tiny: str, tmp_path: Path) -> None:
    assert "'a.gif'" in shell.refuses("random", "--seed", 1, "-o", tmp_path / "a.gif", "--model", tiny)
    (tmp_path / "a.png").mkdir()
    assert "is a folder" in shell.refuses("random", "--seed", 1, "-o", tmp_path / "a.png", "--model", tiny)
    (tmp_path / "file").touch()
    shell.refuses("random", "--seed", 1, "-o", tmp_path / "file" / "a.png", "--model", tiny)


def test_bad_models_are_refused(shell: Shell, tiny: str, tmp_path: Path) -> None:
    assert "'dogs'" in shell.refuses("random", "--seed", 1, "-o", tmp_path / "a.png", "--model", "dogs")
    generator = Path(tiny) / GENERATOR_FILE
    generator.write_bytes(generator.read_bytes()[:1000])
    assert GENERATOR_FILE in shell.refuses("random", "--seed", 1, "-o", tmp_path / "a.png", "--model", tiny)
    generator.unlink()
    words = ("random", "--seed", 1, "-o", tmp_path / "a.png", "--model", tiny)
    assert "has no generator.safetensors" in shell.refuses(*words, code=1)


def test_bad_latents_are_refused(shell: Shell, tiny: str, tmp_path: Path) -> None:
    path, out = tmp_path / "a.latent", tmp_path / "a.png"
    assert "does not exist" in shell.refuses("edit", path, "-o", out, "--model", tiny)
    path.write_bytes(b"PK\3\4")
    assert "a.latent is not a readable" in shell.refuses("edit", path, "-o", out, "--model", tiny)
    shell.json("random", "--seed", 1, "-o", path, "--model", tiny)
    message = shell.refuses("edit", path, "-o", out, "--model", "portraits")
    assert "'tiny'" in message
    assert "'portraits'" in message
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 10, b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_bad_photos_are_refused(content: bytes, shell: Shell, tmp_path: Path) -> None:
    photo = tmp_path / "me.jpg"
    assert "me.jpg" in shell.refuses("invert", photo, "-o", tmp_path / "a.latent")
    photo.write_bytes(content)
    assert "me.jpg" in shell.refuses("invert", photo, "-o", tmp_path / "a.latent")
    assert not (tmp_path / "a.latent").exists()


def test_a_photo_without_a_face_is_refused(shell: Shell, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "gray.png")
    assert "face" in shell.refuses("invert", tmp_path / "gray.png", "-o", tmp_path / "a.latent")


def test_unknown_methods_are_refused(inverted: tuple[Path, Any, str], shell: Shell, shared_folder: Path) -> None:
    photo = shared_folder / "photos" / "astronaut.png"
    message = shell.refuses("invert", photo, "-o", inverted[0].with_name("b.latent"), "--method", "magic")
    assert "'magic'" in message


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 10_000])
def test_bad_prompts_are_refused(prompt: str, shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.latent"
    shell.json("random", "--seed", 1, "-o", path)
    shell.refuses("edit", path, "-o", tmp_path / "a.png", "--prompt", f"{prompt}=1")


def test_unknown_sliders_are_refused(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.latent"
    shell.json("random", "--seed", 1, "-o", path)
    message = shell.refuses("edit", path, "-o", tmp_path / "a.png", "--set", "third eye=1")
    assert "No direction is called 'third eye'" in message


# Doctor.


def test_doctor_is_content_with_the_embedded_model(shell: Shell) -> None:
    data = shell.json("doctor")
    assert data["ok"] is True
    assert data["problems"] == []
    assert {"python", "torch", "device", "bf16", "threads", "ops", "free memory", "render", "CLIP"} <= set(
        data["findings"]
    )
    assert "generator.safetensors" in data["findings"]


def test_doctor_says_what_is_missing(shell: Shell, tiny: str) -> None:
    data = shell.json("doctor", "--model", tiny)
    assert data["ok"] is True
    assert any("clip.safetensors" in problem for problem in data["problems"])
    (Path(tiny) / GENERATOR_FILE).write_bytes(b"")
    assert shell("doctor", "--model", tiny) == 1
    assert "FAIL  render" in shell.out
    assert shell("doctor", "--model", "dogs") == 1
    assert "No model is called 'dogs'" in shell.out


def test_doctor_works_without_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "latent_editor"]
    done = subprocess.run([*command, "doctor"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "FAIL  torch" in done.stdout
    assert "pip install" in done.stdout
    assert done.stderr == ""
    words = ["random", "--seed", "1", "-o", str(tmp_path / "a.png")]
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("latent-editor: The package 'torch' is missing.")


# The pieces.


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for words in ([], ["invert"], ["edit"], ["directions"], ["random"], ["doctor"]):
        command = [sys.executable, "-m", "latent_editor", *words, "--help"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert "--help" in done.stdout


def test_names_may_hold_equal_signs() -> None:
    assert name_and_strength(" age = -1.5") == ("age", -1.5)
    assert name_and_strength("a=b=2") == ("a=b", 2.0)
    assert whole_number("0") == 0


def test_a_slider_is_found_by_the_beginning_of_its_name() -> None:
    directions = Directions(Direction(name, torch.zeros(1, 1)) for name in ("age", "Smile", "smile wide", "beard"))
    assert find_direction(directions, "b").name == "beard"
    assert find_direction(directions, "SMILE").name == "Smile"
    assert find_direction(directions, "smile w").name == "smile wide"
    with pytest.raises(le.UnknownDirection, match="'s': choose one of Smile, smile wide"):
        find_direction(directions, "s")
    for name in ("hat", ""):
        with pytest.raises(le.UnknownDirection, match="No direction is called .* age, Smile, smile wide, beard"):
            find_direction(directions, name)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_redrawn_on_a_terminal() -> None:
    stream = Terminal()
    with ProgressBar("Inverting", stream) as bar:
        for i in range(1, 5):
            bar.show(Step(i, 4, i / 2, i / 4, psnr_db=20.0 + i))
    frames = stream.getvalue().split("\r")
    assert len(frames) == 5
    assert frames[2] == f"Inverting {'#' * 15}{'.' * 15}  50 %   1.0 s  22.00 dB"
    assert frames[4].endswith("24.00 dB\n")


def test_the_bar_is_ten_lines_elsewhere() -> None:
    stream = io.StringIO()
    with ProgressBar("Inverting", stream) as bar:
        for i in range(1001):
            bar.show(Step(i, 1000, i / 100, i / 1000))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1].split()[-4:] == ["100", "%", "10.0", "s"]


def test_the_first_interrupt_is_an_event_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stopped:
        assert not stopped.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stopped.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_not_interrupted() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_on_interrupt() as stopped:
            seen.append(stopped.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
