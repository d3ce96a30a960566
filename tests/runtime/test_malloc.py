"""Freed memory is kept if a program requests it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from latent_editor.runtime import malloc

#: Fills 48 MB eight times, and prints the number of page faults of the last six.
PROGRAM = """
import ctypes, resource, sys
from latent_editor.runtime.malloc import keep_freed_memory
tuned = sys.argv[1] == "kept" and keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
size, faults = 48 << 20, []
for _ in range(8):
    block = library.malloc(size)
    ctypes.memset(block, 1, size)
    library.free(block)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(int(tuned), faults[-1] - faults[1])
"""


def run(how: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60)
    tuned, faults = done.stdout.split()
    return tuned == "1", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_program_can_keep_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in malloc.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    tuned, kept = run("kept")
    assert tuned
    _, usual = run("usual")
    assert kept < 100 < usual  # pages of up to 64 kB


@pytest.mark.parametrize("name", malloc.VARIABLES)
def test_settings_of_the_environment_are_respected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "131072")
    assert not malloc.keep_freed_memory()


def test_other_systems_and_libraries_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in malloc.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert not malloc.keep_freed_memory()
    monkeypatch.setattr(malloc.sys, "platform", "win32")
    assert not malloc.keep_freed_memory()
