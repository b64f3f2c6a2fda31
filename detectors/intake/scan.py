"""Usage written plainly, from bytes straight into columns, by compiled code.

*Plain* is an event, or an array of them, as nearly every sender writes it: known fields once each, text without
escapes and beyond-ASCII letters, numbers within their limits, RFC 3339 times, besides them nothing but simple values.
Whatever is not plain is left to :mod:`detectors.intake.decode`, message by message, which reads all that JSON can hold
and says what is wrong with the rest. What both read, both read to the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled, inlined
from detectors.events import LONGEST_NAME, MOST_COUNTED, MOST_GPU_SECONDS, MOST_USD
from detectors.frame import DIMENSIONS
from detectors.intake.scan_values import NOT_PLAIN, count_at, literal_end, minute_at, real_at, text_end

COUNTS = (
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""In the order of :data:`detectors.frame.MEASURES`."""
REALS = ("gpu_seconds", "cost_usd")
TEXTS = (*DIMENSIONS, "id")
FIELDS = (*TEXTS, *COUNTS, *REALS, "time")

_ID, _COUNT, _REAL, _TIME = len(DIMENSIONS), len(TEXTS), len(TEXTS) + len(COUNTS), len(FIELDS) - 1
_GPU_SECONDS, _COST_USD = range(2)
_MOST_REAL = (MOST_GPU_SECONDS, MOST_USD)
_NEEDED = sum(1 << FIELDS.index(name) for name in ("id", "time", "source", "service", "model"))
_NAMED = np.array([name in {"id", "source", "service", "model"} for name in TEXTS])
"""Texts that may not be empty."""

_LONGEST_FIELD = max(map(len, FIELDS))
_SPELLING = np.array([list(name.encode().ljust(_LONGEST_FIELD)) for name in FIELDS], np.uint8)
_BY_LENGTH_AND_END = np.full((_LONGEST_FIELD + 1, 256), -1, np.int8)
"""No two fields have both their length and their last letter in common."""
for _place, _name in enumerate(FIELDS):
    _BY_LENGTH_AND_END[len(_name), ord(_name[-1])] = _place

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = b'":,{}[]'
_SPACE, _TAB, _LINE, _RETURN = b" \t\n\r"
_SMALL_N = ord("n")


class Scanned(NamedTuple):
    """Columns that a scan fills in, a row an event."""

    message: NDArray[np.int32]
    """Which message it is in."""
    item: NDArray[np.int32]
    """Its place in the message."""
    minute: NDArray[np.int32]
    texts: NDArray[np.int64]
    """Where :data:`TEXTS` begin and end, (rows, texts, 2)."""
    counts: NDArray[np.int64]
    """(counts, rows)."""
    reals: NDArray[np.float64]
    """(reals, rows); NaN for a cost that is not told."""
    long_reals: NDArray[np.int64]
    """Where numbers of too many digits for exact arithmetic begin and end, zeros for all others, (reals, rows, 2)."""


def room_for(rows: int) -> Scanned:
    """Columns for at most so many events."""
    return Scanned(
        np.empty(rows, np.int32), np.empty(rows, np.int32), np.empty(rows, np.int32),
        np.empty((rows, len(TEXTS), 2), np.int64), np.empty((len(COUNTS), rows), np.int64),
        np.empty((len(REALS), rows)), np.empty((len(REALS), rows, 2), np.int64),
    )  # fmt: skip


@compiled
def scan(
    data: NDArray[np.uint8], begin: int, ends: NDArray[np.int64], defaults: NDArray[np.int64], into: Scanned,
    plain: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Read messages; return how many events they hold.

    Parameters
    ----------
    data
        The messages one after the other, a zero byte behind each.
    begin
        Where the first one begins.
    ends
        Where the zero byte of each message stands, shape (messages,).
    defaults
        Where the default of each text begins and ends in ``data``, (texts, 2).
    into
        Filled in; has room for as many events as there are opening braces.
    plain
        Filled in: which messages were plain; of the others there are no rows.
    """
    row, at = 0, begin
    for message in range(len(ends)):
        first = row
        at = _blank(data, at)
        is_array, is_whole = data[at] == _OPEN_ARRAY, False
        at = _blank(data, at + 1) if is_array else at
        if is_array and data[at] == _CLOSE_ARRAY:
            at, is_whole = at + 1, True
        while at != NOT_PLAIN and not is_whole and data[at] == _OPEN:
            into.message[row], into.item[row] = message, row - first
            at = _event(data, at + 1, row, defaults, into)
            row += 1
            if at != NOT_PLAIN:
                is_whole = not is_array or data[at] == _CLOSE_ARRAY
                at = at if not is_array else _blank(data, at + 1) if is_whole or data[at] == _COMMA else NOT_PLAIN
        plain[message] = is_whole and at == int(ends[message])
        row = row if plain[message] else first
        at = int(ends[message]) + 1
    return row


@inlined
def _event(data: NDArray[np.uint8], at: int, row: int, defaults: NDArray[np.int64], into: Scanned) -> int:
    """Read an object from behind its brace; return the next place after it that holds something."""
    _clear(row, defaults, into)
    seen, is_over = 0, False
    at = _blank(data, at)
    while at != NOT_PLAIN and not is_over:
        stop = text_end(data, at + 1) if data[at] == _QUOTE else NOT_PLAIN
        field = _field(data, at + 1, stop) if stop != NOT_PLAIN else -1
        bit = 1 << field if field >= 0 else 0
        at = _blank(data, stop + 1) if stop != NOT_PLAIN else NOT_PLAIN
        if at == NOT_PLAIN or data[at] != _COLON or seen & bit:
            at = NOT_PLAIN
        else:
            seen |= bit
            at = _value(data, _blank(data, at + 1), row, field, into)
        if at != NOT_PLAIN:
            at = _blank(data, at)
            is_over = data[at] == _CLOSE
            at = _blank(data, at + 1) if is_over or data[at] == _COMMA else NOT_PLAIN
    return at if seen & _NEEDED == _NEEDED else NOT_PLAIN


@inlined
def _clear(row: int, defaults: NDArray[np.int64], into: Scanned) -> None:
    """Let a row hold what an event holds that says nothing."""
    for text in range(len(TEXTS)):
        into.texts[row, text, 0], into.texts[row, text, 1] = defaults[text, 0], defaults[text, 1]
    for count in range(len(COUNTS)):
        into.counts[count, row] = 0
    for real in range(len(REALS)):
        into.reals[real, row], into.long_reals[real, row, 1] = 0.0, 0
    into.reals[_COST_USD, row] = np.nan


@inlined
def _field(data: NDArray[np.uint8], start: int, stop: int) -> int:
    """Which field a text names, -1 for none."""
    size = stop - start
    field = int(_BY_LENGTH_AND_END[size, data[stop - 1]]) if size <= _LONGEST_FIELD else -1
    place = 0
    while field >= 0 and place < size:
        if data[start + place] != _SPELLING[field, place]:
            field = -1
        place += 1
    return field


@inlined
def _value(data: NDArray[np.uint8], at: int, row: int, field: int, into: Scanned) -> int:
    """Read what a field holds into its row; return the place after it."""
    if field < 0:
        stop = literal_end(data, at)
    elif field < _COUNT or field == _TIME:
        stop = text_end(data, at + 1) if data[at] == _QUOTE else NOT_PLAIN
        if field == _TIME:
            into.minute[row] = minute_at(data, at + 1, stop)
            takes = into.minute[row] != NOT_PLAIN
        else:
            into.texts[row, field, 0], into.texts[row, field, 1] = at + 1, stop
            takes = (0 if _NAMED[field] else -1) < stop - at - 1 <= LONGEST_NAME
        stop = stop + 1 if takes else NOT_PLAIN
    elif field < _REAL:
        value, stop = count_at(data, at)
        into.counts[field - _COUNT, row] = value
        stop = stop if value <= MOST_COUNTED else NOT_PLAIN
    else:
        stop = _real(data, at, row, field - _REAL, into)
    return stop


@inlined
def _real(data: NDArray[np.uint8], at: int, row: int, which: int, into: Scanned) -> int:
    """Read a number that may have a fraction; return the place after it."""
    if which == _COST_USD and data[at] == _SMALL_N:
        return literal_end(data, at)
    value, stop, is_exact = real_at(data, at)
    into.reals[which, row] = value
    if not is_exact:
        into.long_reals[which, row, 0], into.long_reals[which, row, 1] = at, stop
    most = _MOST_REAL[which] if is_exact else _MOST_REAL[which] / 2  # nearer than that, rounding decides
    return stop if value <= most else NOT_PLAIN


@inlined
def _blank(data: NDArray[np.uint8], at: int) -> int:
    """Return the next place that holds something."""
    while data[at] == _SPACE or data[at] == _LINE or data[at] == _RETURN or data[at] == _TAB:
        at += 1
    return at
