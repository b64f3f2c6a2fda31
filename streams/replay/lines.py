"""Lines of files: one by one, or usage in batches."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from detectors.clock import NEVER
from detectors.intake.raw import DEFAULT_ENVIRONMENT, RawBatch, RawMessage

_BLOCK_BYTES = 6_000_000
_LINE, _SPACE = b"\n "


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as stream:
        yield stream


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a file that hold something (gzip by its name), or of standard input for ``-``."""
    with _opened(path) as stream:
        yield from (line.strip() for line in stream if not line.isspace())


def usage_of(path: Path, block_bytes: int = _BLOCK_BYTES) -> Iterator[RawBatch]:
    """Give the lines that :func:`lines_of` gives as messages of usage, those of a block of the file at a time."""
    offset, rest = 0, b""
    with _opened(path) as stream:
        while block := stream.read(block_bytes):
            whole, line_end, rest = (rest + block).rpartition(b"\n")
            if line_end and (batch := _batch_of(whole, offset)):
                yield batch
                offset += len(batch)
    if rest and (batch := _batch_of(rest, offset)):
        yield batch


def _batch_of(lines: bytes, offset: int) -> RawBatch:
    """Return lines as messages; where none has blanks around it, as they stand."""
    text = np.frombuffer(lines + b"\n" + DEFAULT_ENVIRONMENT, np.uint8).copy()
    end = np.flatnonzero(text[: len(lines) + 1] == _LINE)
    begin = np.insert(end[:-1] + 1, 0, 0)
    if min(text[begin].min(), text[end - 1].min()) <= _SPACE:
        held = [line.strip() for line in lines.split(b"\n") if line.strip()]
        return RawBatch.of([RawMessage("usage", 0, offset + number, line) for number, line in enumerate(held)])
    text[end] = 0
    text.setflags(write=False)
    return RawBatch("usage", 0, np.arange(offset, offset + len(end)), np.full(len(end), NEVER, np.int32), text, end)
