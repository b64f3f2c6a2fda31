"""A barrier: no input is applied while a checkpoint takes parts of the state, and others have their turn meanwhile.

Parts are taken ahead of the writing, up to a bound in memory, so that inputs wait for the state to be read and seldom
for a broker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

from detectors.state.pages import Part

AHEAD_BYTES = 32 * 1024 * 1024
"""So much is taken of a state ahead of the writing."""


class SnapshotBarrier:
    """Holds inputs back while a state is read."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._over.set()

    @property
    def holds(self) -> bool:
        """Whether no input may be applied now."""
        return not self._over.is_set()

    async def over(self) -> None:
        """Wait until inputs may be applied; they may until something is awaited."""
        while self.holds:
            await self._over.wait()

    def begin(self) -> None:
        """Hold inputs back from here on."""
        self._over.clear()

    def end(self) -> None:
        """Let inputs come."""
        self._over.set()

    async def take(self, parts: Iterable[Part]) -> Iterator[Part]:
        """Take parts ahead and give all; the barrier ends when the last one was taken, not when it is written."""
        rest, ahead, size_bytes = self._until_the_last(parts), deque[Part](), 0
        for name, part in rest:
            ahead.append((name, part))
            size_bytes += len(part or b"")
            if size_bytes >= AHEAD_BYTES:
                break
            await asyncio.sleep(0)
        return _popped(ahead, rest)

    def _until_the_last(self, parts: Iterable[Part]) -> Iterator[Part]:
        yield from parts
        self.end()


def _popped(ahead: deque[Part], rest: Iterator[Part]) -> Iterator[Part]:
    """Give what was taken ahead, keeping none of it, and then the rest."""
    while ahead:
        yield ahead.popleft()
    yield from rest
