"""The compiled kernels for tests: built once, kept in the checkout's ignored folder, switched on test by test."""

from __future__ import annotations

import functools
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from latent_editor.ops import building, kernels
from latent_editor.ops.toolchain import BuildFailed
from support.environment import ROOT, skip_outside_ci

CACHE = ROOT / "build" / "ops-cache"


def backends() -> list[str]:
    """What the operations can run on here: the reference, and the kernels of each kind of device."""
    return ["reference", "cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@functools.cache
def _built(device: str) -> building.Plan | str:
    """The library for a kind of device, or why there is none; tried once, whichever it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATENT_EDITOR_CACHE", str(CACHE))
        plan = building.plan_for(device)
        try:
            building.build(plan)
        except BuildFailed as e:
            return str(e)
    return plan


def built(device: str) -> building.Plan:
    """The library for a kind of device, built if it is not there."""
    found = _built(device)
    if isinstance(found, str):
        if not found.startswith(("no ", "ninja")):  # something is missing on this machine, and nothing wrong here
            pytest.fail(f"the kernels cannot be built: {found}", pytrace=False)
        skip_outside_ci(found)
    assert isinstance(found, building.Plan)
    return found


@contextmanager
def running_on(backend: str) -> Iterator[torch.device]:
    """Operations run on this backend within the block. Yields the device that their tensors have to be on."""
    if backend == "reference":
        yield torch.device("cpu")
        return
    library = kernels.kernels_for(backend)
    before = library.state, library.reason, library.ready
    if str(built(backend).library) not in torch.ops.loaded_libraries:
        torch.ops.load_library(str(built(backend).library))
    library.state, library.ready = kernels.READY, True
    try:
        yield torch.device(backend)
    finally:
        library.state, library.reason, library.ready = before


def copy_of_the_library() -> building.Plan:
    """Puts the library into the cache that the environment names, as if another process had built it there."""
    source, plan = built("cpu"), building.plan_for("cpu")
    plan.folder.mkdir(parents=True)
    for name in (building.LIBRARY, building.MANIFEST):
        (plan.folder / name).write_bytes((source.folder / name).read_bytes())
    return plan


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def failing_compilers(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Compilers that do not work, and words of the reason."""
    return {
        "broken": (program(tmp_path / "broken", "echo 'fatal error: it is broken' >&2; exit 1"), "it is broken"),
        "killed": (program(tmp_path / "killed", "kill -9 $$"), "compiler failed"),
        "wrong": (
            program(tmp_path / "wrong", 'while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"'),
            "does not work here",
        ),
        "missing": (str(tmp_path / "nowhere"), "no C++ compiler was found"),
    }
