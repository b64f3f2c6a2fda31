"""State as pages of which few change: what a checkpoint writes is what has changed since the one before.

A book (:class:`StatePages`) remembers what it has written of one state, and gives the parts of the pages that are
new, changed or gone. It reads the state while it gives them, so no step may be made meanwhile. Each part is small:
whoever takes them may let others work in between. After a failure to write, a new book writes everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.state import codec

S = TypeVar("S")
T = TypeVar("T")

Part = tuple[str, bytes | None]
"""A page's name and a part of it, the parts of a page one after the other; None for a page that is gone."""

Pages = dict[str, list[bytes]]
"""Pages by name, each with its parts. Whoever loads them may take them out, so that memory is free for the state."""

LARGEST_PART_BYTES = 900_000
ROWS_A_PAGE = 4096
"""Of lists and dicts: so many are encoded in a few milliseconds."""

WHOLE = "state"
"""The page of a state that is written in one piece, as all were before they were cut into pages."""


class StatePages(Protocol[S]):
    """What was written of one state."""

    def load(self, pages: Pages, /) -> S:
        """Return the state of its pages; from now on, they are what was written."""

    def changes(self, state: S, /) -> Iterator[Part]:
        """Give what is not written yet; once all is taken, it counts as written."""


def page(name: str, value: object) -> Iterator[Part]:
    """A page of any value, in parts that fit a message."""
    data = codec.encode(value)
    for start in range(0, max(len(data), 1), LARGEST_PART_BYTES):
        yield name, data[start : start + LARGEST_PART_BYTES]


def read(pages: Pages, name: str, kind: type[T]) -> T:
    """Return what :func:`page` wrote.

    Raises
    ------
    msgspec.DecodeError
        If the page is not there, or holds something else.
    """
    if name not in pages:
        raise msgspec.DecodeError(f"there is no page {name!r}")
    return codec.decode(b"".join(pages.pop(name)), kind)


def collected(parts: Iterable[Part]) -> Pages:
    """Parts that are not gone, by page.

    Examples
    --------
    >>> collected([("keys", b"a"), ("keys", b"b"), ("old", None)])
    {'keys': [b'a', b'b']}
    """
    pages: Pages = {}
    for name, part in parts:
        if part is not None:
            pages.setdefault(name, []).append(part)
    return pages


class OnePage(Generic[S]):
    """A small state in one page."""

    def __init__(self, kind: type[S]) -> None:
        self._kind = kind

    def load(self, pages: Pages) -> S:
        """Return the state of its page."""
        return read(pages, WHOLE, self._kind)

    def changes(self, state: S) -> Iterator[Part]:
        """Give the page."""
        return page(WHOLE, state)


class Growing:
    """Lists and columns side by side that grow at their end: a page that is full is seldom written again.

    Parameters
    ----------
    name
        Of the pages.
    kinds
        What stands side by side.
    """

    def __init__(self, name: str, *kinds: type) -> None:
        self._name = name
        self._kinds = kinds
        self._written = 0

    def changes(self, *columns: Sequence[Any] | NDArray[Any], anew: bool = False) -> Iterator[Part]:
        """Give the pages that have grown; if all is numbered anew, all pages, and those that are gone."""
        rows, written = len(columns[0]), 0 if anew else self._written
        if rows == self._written and not anew:
            return
        for first in range(written - written % ROWS_A_PAGE, rows, ROWS_A_PAGE):
            some = tuple(column[first : first + ROWS_A_PAGE] for column in columns)
            yield from page(self._page(first // ROWS_A_PAGE), some)
        for number in range(-(-rows // ROWS_A_PAGE), -(-self._written // ROWS_A_PAGE)):
            yield self._page(number), None
        self._written = rows

    def load(self, pages: Pages, *empty: list[Any] | NDArray[Any]) -> list[Any]:
        """Return the lists and columns, as the empty ones that are given."""
        kind: Any = tuple[self._kinds]  # type: ignore[name-defined]  # of so many kinds as there are
        read_back: list[Any] = [read(pages, name, kind) for name in names_below(pages, self._name)]
        self._written = sum(len(some[0]) for some in read_back)
        return [_joined(each, [some[n] for some in read_back]) for n, each in enumerate(empty)]

    def _page(self, number: int) -> str:
        return f"{self._name}/{number:06}"


def _joined(empty: list[Any] | NDArray[Any], some: list[Any]) -> list[Any] | NDArray[Any]:
    if isinstance(empty, list):
        return [value for each in some for value in each]
    return np.concatenate([empty, *some])


class ByMinute(Generic[T]):
    """Lists by minute that only grow until their minute is gone: what was added is a page, gone with its minute.

    Parameters
    ----------
    name
        Of the pages.
    kind
        Of what is in the lists.
    """

    def __init__(self, name: str, kind: type[T]) -> None:
        self._name = name
        self._kind = kind
        self._written: dict[int, list[int]] = {}
        """How long each minute's list was, page by page."""

    def changes(self, lists: Mapping[int, list[T]], anew: bool = False) -> Iterator[Part]:
        """Give what was added, or all where it is no longer as it was, and the pages of minutes that are gone."""
        for minute in [minute for minute in self._written if anew or minute not in lists]:
            for number in range(len(self._written.pop(minute))):
                yield self._page(minute, number), None
        for minute, values in lists.items():
            lengths = self._written.setdefault(minute, [])
            while (written := lengths[-1] if lengths else 0) < len(values):
                some = _up_to_a_part(values[written:])
                yield from page(self._page(minute, len(lengths)), some)
                lengths.append(written + len(some))

    def load(self, pages: Pages, minutes: Sequence[int]) -> dict[int, list[T]]:
        """Return the lists of some minutes, in that order."""
        lists: dict[int, list[T]] = {minute: [] for minute in minutes}
        for name in names_below(pages, self._name):
            minute = int(name.split("/")[-2])
            lists[minute] += [codec.decode(value, self._kind) for value in read(pages, name, list[bytes])]
            self._written.setdefault(minute, []).append(len(lists[minute]))
        return lists

    def _page(self, minute: int, number: int) -> str:
        return f"{self._name}/{minute}/{number:06}"


def _up_to_a_part(values: list[Any]) -> list[bytes]:
    """The first values, at least one, encoded each by itself, that about fill a part."""
    some: list[bytes] = []
    size_bytes = 0
    for value in values:
        some.append(codec.encode(value))
        size_bytes += len(some[-1])
        if size_bytes >= LARGEST_PART_BYTES // 2:
            break
    return some


class ColumnByMinute:
    """A column by minute that is replaced, never changed, where it grows: a page a minute.

    Parameters
    ----------
    name
        Of the pages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._written: dict[int, NDArray[Any]] = {}

    def changes(self, columns: Mapping[int, NDArray[Any]]) -> Iterator[Part]:
        """Give the columns that were replaced, and those that are gone."""
        for minute in [minute for minute in self._written if minute not in columns]:
            del self._written[minute]
            yield f"{self._name}/{minute}", None
        for minute, column in columns.items():
            if self._written.get(minute) is not column:
                yield from page(f"{self._name}/{minute}", column)
                self._written[minute] = column

    def load(self, pages: Pages, minutes: Sequence[int]) -> dict[int, NDArray[Any]]:
        """Return the columns of some minutes, in that order."""
        self._written = {minute: read(pages, f"{self._name}/{minute}", np.ndarray) for minute in minutes}
        return dict(self._written)


def names_below(pages: Pages, name: str) -> list[str]:
    """Names of the pages below one, in their order.

    Examples
    --------
    >>> names_below({"keys/000001": [], "keys/000000": [], "keyst/000000": []}, "keys")
    ['keys/000000', 'keys/000001']
    """
    return sorted(each for each in pages if each.startswith(f"{name}/"))
