"""Tunes glibc malloc to keep freed memory."""

from __future__ import annotations

import ctypes
import os
import sys

#: Parameters of mallopt (malloc.h), and the value of both: the most that is kept, and the largest block that is.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
THRESHOLD_BYTES = 1 << 30
#: Environment variables with which the user sets these parameters.
VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Lets this process keep up to a gigabyte of freed memory for reuse.

    Activations of a 1024² picture take up to 64 MB per layer. By default glibc maps blocks of that size one by one and
    unmaps them at once, and the page faults take as much time as the picture. Huge pages were rejected: on virtual
    machines they were slower than small ones.

    Called by programs when they start, never by the library. Without effect except on Linux with glibc.

    Returns:
        Whether freed memory is kept from now on.
    """
    if sys.platform != "linux" or any(name in os.environ for name in VARIABLES):
        return False
    try:
        library = ctypes.CDLL(None)
        if not hasattr(library, "gnu_get_libc_version"):  # musl has a `mallopt` that does nothing, or none
            return False
        return all(library.mallopt(which, THRESHOLD_BYTES) == 1 for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
    except (OSError, AttributeError):
        return False
