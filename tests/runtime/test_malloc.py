"""Freed memory is kept where a program asks for it, and only there."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from latent_editor.runtime import malloc

#: Fills 48 MB eight times, and tells how many pages the system had to bring for the last six.
PROGRAM = """
import ctypes, resource, sys
from latent_editor.runtime.malloc import keep_freed_memory
told = sys.argv[1] == "kept" and keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
size, faults = 48 << 20, []
for _ in range(8):
    block = library.malloc(size)
    ctypes.memset(block, 1, size)
    library.free(block)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(int(told), faults[-1] - faults[1])
"""


def run(how: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60)
    told, faults = done.stdout.split()
    return told == "1", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_program_that_asks_keeps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in malloc.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    told, kept = run("kept")
    assert told
    _, usual = run("usual")
    assert kept < 100 < usual  # pages of up to 64 kB


@pytest.mark.parametrize("name", malloc.VARIABLES)
def test_the_environment_decides(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "131072")
    assert not malloc.keep_freed_memory()


def test_other_systems_and_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in malloc.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert not malloc.keep_freed_memory()
    monkeypatch.setattr(malloc.sys, "platform", "win32")
    assert not malloc.keep_freed_memory()
