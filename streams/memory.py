"""Memory, as suits streams: what was freed is kept for what comes next, and cycles are looked for seldom.

A minute's columns are made and freed thousands of times an hour. The allocator of the GNU C library gives large pieces
back to the system as soon as they are free, and each one that is asked for anew is a page fault every four kilobytes:
half of a minute's time at some thousand series. How much depends on where in memory the columns came to lie.

A batch of messages makes tens of thousands of short-lived objects, none in a cycle. Python looks for cycles every 700
new objects by default, which would take a tenth of the time of a replay and a third of that of reading Kafka.
"""

from __future__ import annotations

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_KEPT_BYTES = 64 * 1024 * 1024
_LARGEST_KEPT_BYTES = 2 * 1024 * 1024
"""Larger pieces are those of states that grow: given back at once, they leave no holes."""

_NEW_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def tune_memory() -> None:
    """Suit this process to streams; for the beginning of every program."""
    keep_freed_memory()
    gc.set_threshold(_NEW_OBJECTS_BETWEEN_COLLECTIONS)


def keep_freed_memory(largest_bytes: int = _LARGEST_KEPT_BYTES) -> bool:
    """Let the allocator keep what is freed, where it is one that can be told; return whether it was.

    Parameters
    ----------
    largest_bytes
        Larger pieces are given back at once.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return False
    settings = ((_MMAP_THRESHOLD, largest_bytes), (_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(bool(mallopt(name, value)) for name, value in settings)
