"""Frames as bytes: what is read is what was written, to the bit and to the type, in few bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from detectors.clock import NEVER
from detectors.frame import MEASURES, Frame, Labels

LABELS = Labels.of_keys([("team", "bot", "production", "", f"key-{n}", "openai", "gpt", "gateway") for n in range(300)])
MINUTES = st.integers(NEVER + 1, 2**31 - 1)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Any frame that intake may cut."""
    rows = draw(st.integers(0, 40))
    first = draw(st.integers(0, 2**62))
    span = draw(st.sampled_from([1, 200, 2**40]))
    high = draw(MINUTES)

    def whole(least: int, most: int, *shape: int) -> NDArray[np.int64]:
        return draw(arrays(np.int64, (*shape, rows), elements=st.integers(least, most)))

    early = max(NEVER + 1, high - draw(st.sampled_from([0, 100, 2**30])))
    minute, up_to = (whole(early, high).astype(np.int32) for _ in range(2))
    identity = draw(arrays(np.uint64, rows, elements=st.integers(0, 2**64 - 1)))
    values = whole(-(2**63), 2**63 - 1, len(MEASURES))
    key, offset = whole(0, len(LABELS) - 1).astype(np.int32), first + np.sort(whole(0, span))
    return Frame(
        draw(st.integers(0, 1023)), first, first + span, high, LABELS,
        key, offset, minute, up_to, identity, values, [],
    )  # fmt: skip


@given(frames())
def test_a_frame_is_read_as_it_was_written(frame: Frame) -> None:
    read = Frame.decode(frame.encode())
    for name in Frame.__struct_fields__:
        wrote, found = getattr(frame, name), getattr(read, name)
        if isinstance(wrote, np.ndarray):
            assert found.dtype == wrote.dtype
            np.testing.assert_array_equal(found, wrote)
    assert (read.labels.keys(), read.high_minute, read.last_offset) == (
        LABELS.keys(),
        frame.high_minute,
        frame.last_offset,
    )


def test_usual_rows_take_less_than_half_of_the_bytes_of_their_columns() -> None:
    rows = 10_000
    values = np.zeros((len(MEASURES), rows), np.int64)
    values[:9] = 40_000
    row = np.arange(rows)
    now = np.full(rows, 29_000_000, np.int32)
    key = (row % len(LABELS)).astype(np.int32)
    frame = Frame(0, 0, 4 * rows, 29_000_000, LABELS, key, 4 * row, now, now, row.astype(np.uint64), values, [])
    columns = sum(value.nbytes for value in (key, frame.offset, now, now, frame.identity, values))
    assert len(frame.encode()) < columns / 2
