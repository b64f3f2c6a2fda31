"""What is written of the pages of a state, by the checksums of their parts.

So a part that is as it was is not written again, and a page that is read is known to be the one that was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from detectors.state.pages import Part

_DIGEST_BYTES = 16


class Change(NamedTuple):
    """A part to be written, the number of it within its page; None for one that is gone."""

    page: str
    number: int
    part: bytes | None


class Written:
    """Checksums of the parts of pages.

    Parameters
    ----------
    pages
        What is written already.
    """

    def __init__(self, pages: Mapping[str, Sequence[bytes]] | None = None) -> None:
        self.digests = {name: [_digest(part) for part in parts] for name, parts in (pages or {}).items()}
        """Of each part, page by page."""
        self._checksums = {name: _checksum(digests) for name, digests in self.digests.items()}

    @property
    def checksums(self) -> dict[str, str]:
        """The checksum of every page."""
        return dict(self._checksums)

    def changes(self, parts: Iterable[Part]) -> Iterator[Change]:
        """What there is to write of the parts of some pages; once all is taken, it counts as written.

        Examples
        --------
        >>> written = Written({"keys": [b"old", b"same", b"gone"], "room": [b"1"]})
        >>> for change in written.changes([("keys", b"new"), ("keys", b"same"), ("room", None)]):
        ...     print(*change)
        keys 0 b'new'
        keys 2 None
        room 0 None
        >>> list(written.checksums)
        ['keys']
        """
        for page, some in groupby(parts, key=itemgetter(0)):
            before = self.digests.pop(page, [])
            now: list[bytes] = []
            for _, part in some:
                if part is None:
                    continue
                digest = _digest(part)
                if len(now) >= len(before) or before[len(now)] != digest:
                    yield Change(page, len(now), part)
                now.append(digest)
            for number in range(len(now), len(before)):
                yield Change(page, number, None)
            self._checksums.pop(page, None)
            if now:
                self.digests[page], self._checksums[page] = now, _checksum(now)


def _digest(part: bytes) -> bytes:
    return hashlib.blake2b(part, digest_size=_DIGEST_BYTES).digest()


def _checksum(digests: Sequence[bytes]) -> str:
    """Of a page: the one of its parts' checksums, so that a page need never be in memory as a whole."""
    return _digest(b"".join(digests)).hex()
