"""What a checkpoint looks like in its compacted topic: pages of state, and a root that says what they stand for.

==========  ==========================================================================================
key         value
==========  ==========================================================================================
owner       who holds the lease; written at acquisition, and the mark up to which the topic is read
page/N/P    part P of page N of the state, as of the root
root        :class:`Root`: the next input expected, how many outputs were made, a checksum of every part
emitted     how many outputs have been sent; at least as many as the root says
==========  ==========================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

FORMAT = 1
"""Of the root and the pages. Another one is refused, never misread."""

LARGEST_PART_BYTES = 900_000

OWNER, ROOT, EMITTED = b"owner", b"root", b"emitted"


class Root(msgspec.Struct, frozen=True):
    """What the pages stand for.

    ``next_sequence`` is the next input expected of each sender, ``outputs`` how many outputs the inputs up to
    here have made, ``parts`` the checksum of each part of a page by its key. For whoever looks on: ``owner`` wrote
    it, who has held the lease since ``held_since_ms`` (Unix), and ``reached`` is the minute that the state has come to.
    """

    format: int
    schema: str
    next_offset: int
    next_sequence: dict[str, int]
    outputs: int
    parts: dict[str, str]
    owner: str = ""
    held_since_ms: int | None = None
    reached: int | None = None


def owner_in(mark: bytes) -> str:
    """Return who wrote the mark of an acquisition.

    Examples
    --------
    >>> owner_in(b"worker-1 7f9c0a52-2a0b-4c38-9d0e-0b6a7b6f3f11")
    'worker-1'
    """
    return mark.decode().rpartition(" ")[0]


def checksum_of(part: bytes) -> str:
    """Return what a root keeps of a part."""
    return hashlib.blake2b(part, digest_size=16).hexdigest()


def parts_of(pages: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """Cut pages into parts that fit a message; keys sort in their order."""
    return [
        (f"page/{name}/{start // LARGEST_PART_BYTES:06}", page[start : start + LARGEST_PART_BYTES])
        for name, page in pages.items()
        for start in range(0, max(len(page), 1), LARGEST_PART_BYTES)
    ]


def pages_of(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Put the parts of pages together again.

    Examples
    --------
    >>> pages_of(dict(parts_of({"state": b"abc"})))
    {'state': b'abc'}
    """
    pages: dict[str, bytes] = {}
    for key in sorted(parts):
        name = key.split("/", 1)[1].rsplit("/", 1)[0]
        pages[name] = pages.get(name, b"") + parts[key]
    return pages
