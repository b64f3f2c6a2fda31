"""A mistake in a configuration, as a compiler would print it, and the nearest word to one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

import msgspec


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a file: where, what was expected, what was found, and the nearest known word.

    ``message`` says all of it in a sentence; a warning does not keep a configuration from being used.
    """

    file: str
    line: int
    path: str
    message: str
    expected: str = ""
    found: str = ""
    nearest: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return it as a compiler would print it.

        Examples
        --------
        >>> str(Mistake(file="burstwatch.yaml", line=3, path="shards", message="expected a number"))
        'burstwatch.yaml:3: shards: expected a number'
        """
        warning = "warning: " if self.severity == "warning" else ""
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {warning}{path}{self.message}"


def nearest_word(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like a word, or nothing where none is.

    Examples
    --------
    >>> nearest_word("window_minuts", ["pages", "window_minutes"])
    'window_minutes'
    >>> nearest_word("x", ["pages"])
    ''
    """
    return next(iter(difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.5)), "")
