"""The C library's allocator. In: nothing.  Out: memory that a push has freed goes back to the kernel (malloc_trim(3)).

glibc keeps a heap per thread and returns only its top: without this a worker grows by the largest push of each thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def _trim() -> Callable[[int], int] | None:
    """Only glibc has it."""
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = (ctypes.c_size_t,), ctypes.c_int
    return function


def give_memory_back() -> None:
    """Return freed pages of all heaps; costs a millisecond or two."""
    trim = _trim()
    if trim is not None:
        trim(0)
