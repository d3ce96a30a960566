"""README.md and what stands beside it: commands, Python, front matter, versions and templates match the project."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

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
    colors = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {about["colorFrom"], about["colorTo"]} <= colors
    assert len(about["short_description"]) <= 60
    assert isinstance(about["python_version"], str)


def test_it_starts_with_the_two_scripts() -> None:
    first = [line.split()[0] for line in blocks("sh")[0].splitlines()]
    assert first == ["scripts/app", "scripts/test"]
    for script in first:
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"


def test_shell_commands_parse() -> None:
    commands = [shlex.split(line, comments=True) for line in "".join(blocks("sh")[1:]).splitlines()]
    names = [words[1] for words in commands if words and words[0] == "latent-editor"]
    every = re.findall(r"^    ([a-z]+)\b", build_parser().format_help(), flags=re.MULTILINE)
    assert set(every) == set(names)
    for words in commands:
        if words and words[0] == "latent-editor":
            assert callable(build_parser().parse_args(words[1:]).run), words


@pytest.mark.parametrize("code", blocks("python"))
def test_python_uses_public_names(code: str) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "le"
    }
    assert used
    assert used <= set(le.__all__)


@pytest.mark.parametrize("script", [".ci/run", *(f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir())])
def test_paths_in_the_scripts_exist(script: str) -> None:
    """A moved test file would otherwise end the checks of a fresh machine."""
    text = (ROOT / script).read_text(encoding="utf-8")
    for path in re.findall(r"(?<![\w/$.])(?:scripts|tests|docs|benchmarks|weights)/[\w/.-]*\w", text):
        assert (ROOT / path).exists(), f"{script} names {path}"


def test_versions_agree() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    heading = rf"^## {re.escape(__version__)} \((\d{{4}}-\d\d-\d\d)\)$"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", changelog, flags=re.MULTILINE)
    assert titles[0] == "Unreleased"
    released = re.match(heading, f"## {titles[1]}")
    assert released, f"CHANGELOG.md: {titles[1]!r} is not {__version__} (YYYY-MM-DD)"
    assert (citation["version"], citation["date-released"]) == (__version__, released[1])


def test_licenses_agree() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert "torch" in requirements()


def test_pre_commit_runs_the_pinned_ruff() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    pinned = re.search(r"^ruff==(.*)$", (ROOT / "requirements-dev.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert pinned
    assert [repo["rev"] for repo in hooks if "ruff" in repo["repo"]] == [f"v{pinned[1]}"]


@pytest.mark.parametrize("form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md")), ids=lambda path: path.stem)
def test_issue_templates_have_front_matter(form: Path) -> None:
    _, front, body = form.read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front).keys() == {"name", "about", "labels"}
    commands = re.findall(r"`latent-editor ([a-z]+)", body)
    assert set(commands) <= set(re.findall(r"^    ([a-z]+)\b", build_parser().format_help(), flags=re.MULTILINE))
