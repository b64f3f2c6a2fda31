"""Lines of a file are the same one by one and in batches, wherever its blocks end."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.replay.lines import lines_of, usage_of

TEXTS = st.lists(st.sampled_from([b"\n", b"{}", b"a b", b" ", b"\r\n", b"\x00", b"\x0b"]), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


@given(TEXTS, st.integers(1, 9), st.booleans())
def test_messages_are_the_lines_that_hold_something_numbered(
    folder: Path, text: bytes, block_bytes: int, packed: bool
) -> None:
    path = folder / ("usage.ndjson.gz" if packed else "usage.ndjson")
    path.write_bytes(gzip.compress(text) if packed else text)
    messages = [message for batch in usage_of(path, block_bytes) for message in batch]
    assert [message.payload for message in messages] == list(lines_of(path))
    assert [message.offset for message in messages] == list(range(len(messages)))
    assert all(message.kind == "usage" and message.received_minute is None for message in messages)
