"""The house rule: imports point only down. And: importing has no effect."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "latent_editor"

#: The parts of the package by level. An arrow to the same level stays legal below level 4 and from level 5 on, as long
#: as it closes no circle; the parts of level 4 never import each other: what they share moves down.
LEVELS = {
    1: ("errors", "files", "grafts", "memory", "refinements", "regions", "types", "unpickling", "version", "waiting"),
    2: ("colours", "dabs", "degradations", "downloads", "media", "ops", "photos", "weights", "zoo"),
    3: ("features", "generators"),
    4: ("alignment", "compositing", "directions", "editing", "handles", "inversion", "likeness", "text"),
    5: ("batching", "face_parts", "mixing", "preparation", "rendering", "replaying", "restoration", "taking"),
    6: ("albums", "exports", "motion", "positions", "recipes", "sessions", "storage", "videos"),
    7: ("", "__main__", "app", "cli", "doctor", "serving", "ui"),
}
LEVEL_OF = {part: level for level, parts in LEVELS.items() for part in parts}
SIBLINGS_APART = 4
#: Training is a program of its own: it stands on the lowest three levels, and nothing stands on it.
TRAINING, TRAINING_LEVEL = "train", 3


def part_of(module: str) -> str:
    """ "latent_editor.ops.bias_act" → "ops"; the package itself is ""; "app" is "app"."""
    words = module.split(".")
    return words[0] if words[0] != PACKAGE else "".join(words[1:2])


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
    """Every import that points up, to a sibling of level 4, or to the training, as "who → whom"."""
    wrong = set()
    for module, text in texts.items():
        source = part_of(module)
        for name in imported(module, text, set(texts)):
            target = part_of(name)
            if source == target:
                continue
            up = LEVEL_OF.get(target, 99) > LEVEL_OF.get(source, TRAINING_LEVEL)
            if up or (LEVEL_OF[target] == SIBLINGS_APART == LEVEL_OF.get(source)):
                wrong.add(f"{module} → {name}")
    return sorted(wrong)


def test_every_part_has_a_level() -> None:
    parts = {part_of(module) for module in sources()}
    assert parts - {TRAINING} <= set(LEVEL_OF), "a new part: give it a level in LEVELS"


def test_imports_point_only_down() -> None:
    assert wrong_arrows(sources()) == []


def test_parts_import_no_circle() -> None:
    texts = sources()
    arrows: dict[str, set[str]] = {}
    for module, text in texts.items():
        targets = {part_of(name) for name in imported(module, text, set(texts))}
        arrows.setdefault(part_of(module), set()).update(targets - {part_of(module)})
    # The top ("") names every part lazily, and commands and doctor use these names: no circle when they run.
    arrows.pop("", None)
    while leaves := {part for part, targets in arrows.items() if not targets & arrows.keys()}:
        for leaf in leaves:
            del arrows[leaf]
    assert not arrows, f"these import each other: {arrows}"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("latent_editor.ops.new", "from latent_editor.generators import Generator"),
        ("latent_editor.generators.new", "import latent_editor.rendering"),
        ("latent_editor.text.new", "from latent_editor import editing"),
        ("latent_editor.text.new", "def f():\n    from latent_editor.editing import apply"),
        ("latent_editor.rendering", "import app"),
        ("latent_editor.sessions", "import latent_editor as le"),
        ("latent_editor.cli.new", "from latent_editor.train import gan"),
        ("latent_editor.train.new", "from latent_editor.alignment import align"),
    ],
)
def test_the_rule_notices(module: str, line: str) -> None:
    texts = {**sources(), module: line}
    texts.setdefault("latent_editor.editing", "")
    assert any(wrong.startswith(f"{module} → ") for wrong in wrong_arrows(texts))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("latent_editor.text.new", "from latent_editor.text.prompts import check"),
        ("latent_editor.train.new", "from latent_editor.features.trunk import Trunk"),
        ("latent_editor.cli.new", "import latent_editor as le"),
        ("latent_editor.features.new", "from latent_editor.generators import Generator"),
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
    # `ui`, `serving` and app import gradio, whose own import is not ours to judge.
    names = [m for m in sources() if part_of(m) not in ("app", "ui", "serving") and not m.endswith("__main__")]
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
