"""The house rule: imports point only down. And: importing has no effect."""

from __future__ import annotations

import ast
import graphlib
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.environment import ROOT

PACKAGE = "latent_editor"

#: The plan of the house: the rooms of the package, floor by floor from the top. A room imports only rooms of the floors
#: below its own. `docs/architecture.md` draws its table from here (`docs/make_tables.py`).
FLOORS = (
    ("app", "__main__"),
    ("cli",),
    ("doctor",),
    ("",),  # latent_editor/__init__.py: the public names, each imported when it is first used
    ("ui",),
    ("ui.jobs",),
    ("ui.api",),
    ("ui.service",),
    ("recipes",),
    ("motion", "sessions"),
    ("editing", "preparation", "restoration", "train"),
    ("alignment", "compositing", "directions", "inversion", "similarity", "text"),
    ("networks", "rendering"),
    ("generators",),
    ("checkpoints", "degradations", "ops"),
    ("media", "models"),
    ("core", "runtime"),
    ("version",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(reversed(FLOORS)) for room in rooms}
#: Training is a program of its own: nothing stands on it.
TRAINING = "train"


def room_of(module: str) -> str:
    """ "latent_editor.ops.bias_act" → "ops"; the rooms of the page are two words; the package itself is ""."""
    words = module.split(".")
    if words[0] != PACKAGE:
        return words[0]
    page = ".".join(words[1:3])
    return page if page in FLOOR_OF else "".join(words[1:2])


def sources() -> dict[str, str]:
    """Every module of the project and its text."""
    found = {"app": ROOT / "app.py"} if (ROOT / "app.py").exists() else {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        words = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return {module: path.read_text(encoding="utf-8") for module, path in found.items()}


def imported(module: str, text: str, modules: set[str]) -> Iterator[str]:
    """The project's modules that ``module`` imports, anywhere in it: also in functions and for type checkers."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively"
            # `from package import name`: the name may be a module of its own.
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in inside]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in (PACKAGE, "app"))


def wrong_arrows(texts: dict[str, str]) -> list[str]:
    """Every import of a room that does not lie below, or of the training, as "who → whom"."""
    wrong = set()
    for module, text in texts.items():
        room = room_of(module)
        for name in imported(module, text, set(texts)):
            target = room_of(name)
            up = FLOOR_OF.get(target, len(FLOORS)) >= FLOOR_OF.get(room, -1)
            if target != room and (up or target == TRAINING):
                wrong.add(f"{module} → {name}")
    return sorted(wrong)


def test_every_room_is_on_a_floor() -> None:
    rooms = {room_of(module) for module in sources()}
    assert rooms == set(FLOOR_OF), "a new room or one that is gone: tell it in FLOORS"


def test_the_table_of_rooms_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the script adds to it
    generated = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))["rooms"]()
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    committed = page.split("<!-- rooms -->\n")[1].split("\n<!-- /rooms -->")[0]
    assert committed == generated, "run `python docs/make_tables.py`"
    for floor in FLOORS:
        for room in floor:
            assert f"[`{room or '__init__.py'}`](" in committed, room


def test_imports_point_only_down() -> None:
    assert wrong_arrows(sources()) == []


def test_modules_import_no_circle() -> None:
    texts = sources()
    arrows = {module: set(imported(module, text, set(texts))) - {module} for module, text in texts.items()}
    # The package's own module names every other one lazily, and commands use these names: no circle when they run.
    arrows.pop(PACKAGE)
    sorter = graphlib.TopologicalSorter(arrows)
    try:
        sorter.prepare()
    except graphlib.CycleError as e:
        pytest.fail(f"these import each other: {' → '.join(e.args[1])}", pytrace=False)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("latent_editor.ops.new", "from latent_editor.generators import Generator"),
        ("latent_editor.generators.new", "import latent_editor.rendering"),
        ("latent_editor.text.new", "from latent_editor.editing import edits"),
        ("latent_editor.text.new", "def f():\n    from latent_editor.editing.edits import apply"),
        ("latent_editor.text.new", "from latent_editor.directions import named_directions"),
        ("latent_editor.rendering", "import app"),
        ("latent_editor.sessions.new", "import latent_editor as le"),
        ("latent_editor.ui.api.new", "from latent_editor.ui.jobs import job"),
        ("latent_editor.cli.new", "from latent_editor.train import gan"),
        ("latent_editor.train.new", "from latent_editor.editing.edits import edited"),
    ],
)
def test_the_rule_notices(module: str, line: str) -> None:
    texts = {**sources(), module: line}
    assert any(wrong.startswith(f"{module} → ") for wrong in wrong_arrows(texts))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("latent_editor.text.new", "from latent_editor.text.prompts import check"),
        ("latent_editor.train.new", "from latent_editor.networks.trunk import Trunk"),
        ("latent_editor.cli.new", "import latent_editor as le"),
        ("latent_editor.networks.new", "from latent_editor.generators import Generator"),
    ],
)
def test_the_rule_allows(module: str, line: str) -> None:
    assert not any(wrong.startswith(f"{module} → ") for wrong in wrong_arrows({**sources(), module: line}))


# The public names.


def test_the_public_names_are_told_alike_three_times() -> None:
    import latent_editor

    tree = ast.parse((ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for_checkers = {
        alias.asname or alias.name: node.module
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    at_runtime = {name: f"{PACKAGE}.{module}" for name, module in latent_editor._HOME.items()}
    assert for_checkers == at_runtime
    assert sorted([*at_runtime, "__version__"]) == sorted(latent_editor.__all__)


def test_every_public_name_is_there() -> None:
    import latent_editor

    for name in latent_editor.__all__:
        assert getattr(latent_editor, name) is not None, name
        assert name in dir(latent_editor)
    with pytest.raises(AttributeError, match="no attribute 'conjure'"):
        latent_editor.conjure  # noqa: B018


def test_a_function_never_hides_a_module() -> None:
    import latent_editor

    modules = {module.split(".")[1] for module in sources() if "." in module}
    assert not modules & set(latent_editor.__all__)


# No effect.


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("XDG_CACHE_HOME", None)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_importing_the_package_imports_nothing_else(tmp_path: Path) -> None:
    code = (
        "import sys, threading, latent_editor, latent_editor.cli.shell, latent_editor.doctor\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'PIL', 'cv2', 'sklearn', 'open_clip', 'gradio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert threading.active_count() == 1\n"
    )
    done = run_python(code, tmp_path)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_importing_every_module_has_no_effect(tmp_path: Path) -> None:
    # `ui` and app import gradio, whose own import is not ours to judge.
    names = [m for m in sources() if not room_of(m).startswith(("app", "ui")) and not m.endswith("__main__")]
    code = f"""
import importlib, os, sys, threading
import cv2, sklearn.decomposition, torch  # what these do to the environment is their own

def state():
    torch_state = torch.get_num_threads(), torch.is_grad_enabled(), torch.initial_seed()
    return *torch_state, os.getcwd(), hash(tuple(sorted(os.environ.items()))), threading.active_count()

before = state()
for name in {names!r}:
    importlib.import_module(name)
changed = [pair for pair in zip(before, state()) if pair[0] != pair[1]]
assert not changed, changed
loaded = {{"torchvision", "open_clip", "gradio"}} & set(sys.modules)
assert not loaded, loaded
"""
    done = run_python(code, tmp_path)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
