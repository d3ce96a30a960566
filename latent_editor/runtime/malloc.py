"""What becomes of memory that was freed."""

from __future__ import annotations

import ctypes
import os
import sys

#: glibc's names of its settings (malloc.h), and what they are set to: in bytes, of one block and of all that is kept.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 1 << 30
#: With one of these in the environment, somebody has decided otherwise.
VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Lets this process keep up to a gigabyte that it has freed, for what it needs next.

    Layers of a 1024² picture have up to 64 MB each. The C library takes blocks of that size from the system one by one
    and gives them back at once, and the page faults of that cost as much time as the picture. Huge pages were refused:
    on virtual machines they took longer than small ones.

    A program calls it when it starts, a library never. Only Linux with glibc is told; elsewhere nothing happens.

    Returns:
        Whether freed memory is kept from now on.
    """
    if sys.platform != "linux" or any(name in os.environ for name in VARIABLES):
        return False
    try:
        library = ctypes.CDLL(None)
        if not hasattr(library, "gnu_get_libc_version"):  # musl has a `mallopt` that does nothing, or none
            return False
        return all(library.mallopt(which, KEPT_BYTES) == 1 for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
    except (OSError, AttributeError):
        return False
