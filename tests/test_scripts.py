"""Scripts outside the package use only names that the package has; most of them run too long to run in a test."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for folder in ("benchmarks", "docs") for path in (ROOT / folder).glob("*.py"))


def unknown_names(source: str) -> list[str]:
    """Names of the package that a script imports, or reads from an imported module, although they do not exist."""
    tree = ast.parse(source)
    names, modules = [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            inside = [alias for alias in node.names if alias.name.split(".")[0] == "latent_editor"]
            modules |= {alias.asname or alias.name: alias.name for alias in inside}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "latent_editor":
            names += [(node.module, alias.name) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            names.append((modules[node.value.id], node.attr))
    return sorted({f"{module}.{name}" for module, name in names if not exists(str(module), name)})


def exists(module: str, name: str) -> bool:
    if importlib.util.find_spec(module) is None:
        return False
    imported = importlib.import_module(module)
    return hasattr(imported, name) or (
        hasattr(imported, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scripts_use_existing_names(path: Path) -> None:
    assert not unknown_names(path.read_text(encoding="utf-8"))


def test_missing_names_are_found() -> None:
    source = """
import latent_editor as le
from latent_editor.media import decode
from latent_editor.media.decode import Clip, VideoClip
from latent_editor.nowhere import thing
le.invert, le.no_such_function
"""
    missing = ["latent_editor.media.decode.Clip", "latent_editor.no_such_function", "latent_editor.nowhere.thing"]
    assert unknown_names(source) == missing
