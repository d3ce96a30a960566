"""What the README promises is there: its commands, its Python, its links, the front matter of a Space."""

from __future__ import annotations

import ast
import re
import shlex

import pytest
import yaml
from support.environment import ROOT

import latent_editor as le
from latent_editor.cli.shell import build_parser
from latent_editor.version import __version__

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_a_space_accepts_the_front_matter() -> None:
    _, front, _ = README.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["sdk"] == "gradio"
    assert about["sdk_version"] == requirements()["gradio"]
    assert (ROOT / about["app_file"]).is_file()
    assert about["license"] == "apache-2.0"
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {about["colorFrom"], about["colorTo"]} <= colours
    assert len(about["short_description"]) <= 60
    assert isinstance(about["python_version"], str)


def test_it_begins_with_the_two_commands() -> None:
    first = [line.split()[0] for line in blocks("sh")[0].splitlines()]
    assert first == ["scripts/app", "scripts/test"]
    for script in first:
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"


def test_the_commands_are_understood() -> None:
    commands = [shlex.split(line, comments=True) for line in "".join(blocks("sh")[1:]).splitlines()]
    names = [words[1] for words in commands if words and words[0] == "latent-editor"]
    every = re.findall(r"^    ([a-z]+)\b", build_parser().format_help(), flags=re.MULTILINE)
    assert set(every) == set(names)
    for words in commands:
        if words and words[0] == "latent-editor":
            assert callable(build_parser().parse_args(words[1:]).run), words


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_uses_public_names(code: str) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "le"
    }
    assert used
    assert used <= set(le.__all__)


def test_the_python_names_are_told_in_the_text_too() -> None:
    for name in re.findall(r"`le\.(\w+)`", README):
        assert hasattr(le, name), name


def test_linked_files_are_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", README)
    for target in (a or b for a, b in targets):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:scripts|tests|benchmarks|weights|\.ci)/[\w/.-]*)`", README):
        assert (ROOT / path).exists(), path


def test_the_licence_and_the_version_agree() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert "torch" in requirements()
