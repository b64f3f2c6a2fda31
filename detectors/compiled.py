"""Loops over rows, compiled where numba is installed and interpreted where it is not: one source, the same bits.

What is written for it reads numbers out of columns by ``np.float64`` and ``int`` (so that Python computes in the widths
that the compiler uses) and takes every power and logarithm from a table or column that NumPy made. It makes no array:
all come from its caller, so that numba need not count references to them (where it does, a scan of bytes takes four
times as long). Machine code is kept on disk beside the source; it is made anew when the file that it is from or any
file of the core has changed, since constants come from all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}
"""``_nrt`` is numba's counting of references."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that does the same, as machine code after its first call; itself where there is no numba.

    Examples
    --------
    >>> import numpy as np
    >>> @compiled
    ... def total(column: np.ndarray) -> float:
    ...     summed = 0.0
    ...     for row in range(len(column)):
    ...         summed += np.float64(column[row])
    ...     return summed
    >>> total(np.array([1.0, 2.0]))
    3.0
    """
    try:
        from numba import njit  # noqa: PLC0415 — there may be none
    except ImportError:
        return function
    try:
        made = njit(cache=True, **_OPTIONS)(function)
        if made is function:  # numba was told to compile nothing
            return function  # type: ignore[no-any-return]  # what came in
        own = Path(function.__code__.co_filename)
        made._cache._cache_file._source_stamp = _stamp(own)  # numba's own is that of the function's file alone
    except RuntimeError:  # no place to keep machine code: a read-only disk, or code that stands in no file
        made = njit(**_OPTIONS)(function)
    result: Callable[P, R] = made
    return result


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Return what :func:`compiled` returns, to be written out wherever compiled code calls it.

    For small parts of a loop over bytes: a call that is given arrays costs more than what such a part does.
    """
    try:
        from numba import njit  # noqa: PLC0415 — there may be none
    except ImportError:
        return function
    result: Callable[P, R] = njit(inline="always", **_OPTIONS)(function)
    return result


def is_compiled(function: Callable[..., object]) -> bool:
    """Whether what :func:`compiled` returned is machine code."""
    return hasattr(function, "py_func")


def _stamp(own: Path) -> str:
    """What changes with a file and with any of the core, and not with where and when they were installed."""
    return hashlib.blake2b(_core() + own.read_bytes(), digest_size=8).hexdigest()


@cache
def _core() -> bytes:
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files)).digest()
