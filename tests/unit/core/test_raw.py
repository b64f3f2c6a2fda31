"""A batch is the messages that it was made of, in whatever part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.intake.raw import RawBatch, RawMessage

MINUTES = st.none() | st.integers(0, 2**31 - 1)
MESSAGES = st.lists(st.tuples(st.integers(0, 2**40), st.binary(max_size=9), MINUTES), max_size=6).map(
    lambda rows: [RawMessage("feedback", 2, *row) for row in rows]
)


@given(MESSAGES, st.integers(0, 7), st.integers(0, 7), st.integers(0, 7))
def test_a_part_of_a_batch_is_that_part_of_its_messages(
    messages: list[RawMessage], start: int, stop: int, further: int
) -> None:
    part = RawBatch.of(messages)[start:stop]
    assert list(part) == messages[start:stop]
    assert list(part[further:]) == messages[start:stop][further:]
    assert part.sizes().tolist() == [len(message.payload) for message in messages[start:stop]]


@given(MESSAGES.filter(bool))
def test_a_message_is_found_from_either_end(messages: list[RawMessage]) -> None:
    batch = RawBatch.of(messages)
    assert (batch[0], batch[-1]) == (messages[0], messages[-1])
