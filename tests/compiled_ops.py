"""The compiled kernels for tests: built once, kept in the checkout's ignored folder, switched on test by test."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from conftest import skip_outside_ci

from latent_editor.ops import building, kernels
from latent_editor.ops.toolchain import BuildFailed

CACHE = Path(__file__).resolve().parent.parent / "build" / "ops-cache"


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
