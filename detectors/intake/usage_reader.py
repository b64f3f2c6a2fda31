"""Messages of usage to columns: plain ones by compiled code, the others by the decoder that knows all of JSON."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.compiled import is_compiled
from detectors.events import UsageEvent
from detectors.frame import Labels
from detectors.intake.admission import Stamps
from detectors.intake.columns import UsageColumns, columns_of, gpu_ms_of, put_together
from detectors.intake.decode import Mistake, Reader
from detectors.intake.labels import empty_table, identify, number_rows, number_texts
from detectors.intake.raw import DEFAULT_ENVIRONMENT, RawBatch
from detectors.intake.scan import TEXTS, Scanned, room_for, scan

_OPENING_BRACE = ord("{")
_SOURCE, _ID = TEXTS.index("source"), TEXTS.index("id")


class UsageReader:
    """Reads usage.

    Parameters
    ----------
    scans
        Whether plain messages are scanned; interpreted, that is slower than the decoder.

    Examples
    --------
    >>> from detectors.intake.raw import RawMessage
    >>> raw = b'{"id":"a","time":"1970-01-01T01:00:00Z","source":"s","service":"bot","model":"m","requests":2}'
    >>> batch = RawBatch.of([RawMessage("usage", 0, 7, raw), RawMessage("usage", 0, 8, b"{}")])
    >>> columns, mistakes = UsageReader().read(batch)
    >>> columns.minute.tolist(), columns.labels.keys()[0][1], [(message, mistake.code) for message, mistake in mistakes]
    ([60], 'bot', [(1, 'missing_field')])
    """

    def __init__(self, *, scans: bool = is_compiled(scan)) -> None:
        self._scans = scans
        self._reader = Reader(UsageEvent)
        self._stamps = Stamps()

    def read(self, messages: RawBatch) -> tuple[UsageColumns, list[tuple[int, Mistake]]]:
        """Return all events of messages, in their order, and the mistakes, each with the number of its message."""
        if not self._scans:
            return self._decode(messages, range(len(messages)))
        plain, columns = _scan(messages)
        if plain.all():
            return columns, []
        decoded, mistakes = self._decode(messages, np.flatnonzero(~plain).tolist())
        return put_together(columns, decoded), mistakes

    def events(self, payload: bytes) -> dict[int, tuple[UsageEvent, bytes]]:
        """Return the events of a message by their index in it, each with its bytes as they came."""
        events, _ = self._reader.read(payload)
        items = self._reader.items(payload)
        return {index: (event, items[index]) for index, event in events}

    def _decode(self, messages: RawBatch, numbers: range | list[int]) -> tuple[UsageColumns, list[tuple[int, Mistake]]]:
        events: list[UsageEvent] = []
        message: list[int] = []
        item: list[int] = []
        mistakes: list[tuple[int, Mistake]] = []
        for number in numbers:
            found, wrong = self._reader.read(messages.payload(number))
            mistakes += [(number, mistake) for mistake in wrong]
            events += [event for _, event in found]
            item += [place for place, _ in found]
            message += [number] * len(found)
        minute = self._stamps.minutes([event.time for event in events])
        return columns_of(events, np.array(message, np.int32), np.array(item, np.int32), minute), mistakes


def _scan(messages: RawBatch) -> tuple[NDArray[np.bool_], UsageColumns]:
    """Which messages are plain, and the columns of those."""
    data = messages.text
    defaults = np.zeros((len(TEXTS), 2), np.int64)
    defaults[TEXTS.index("environment")] = len(data) - len(DEFAULT_ENVIRONMENT), len(data)
    plain = np.zeros(len(messages), bool)
    stop = int(messages.end[-1]) if messages else messages.begin
    into = room_for(int(np.count_nonzero(data[messages.begin : stop] == _OPENING_BRACE)))
    rows = scan(data, messages.begin, messages.end, defaults, into, plain)
    return plain, _columns_of_scanned(data, _first(into, rows))


def _first(into: Scanned, rows: int) -> Scanned:
    return Scanned(
        into.message[:rows], into.item[:rows], into.minute[:rows], into.texts[:rows], into.counts[:, :rows],
        into.reals[:, :rows], into.long_reals[:, :rows],
    )  # fmt: skip


def _columns_of_scanned(data: NDArray[np.uint8], scanned: Scanned) -> UsageColumns:
    rows = len(scanned.message)
    for reals, long_reals in zip(scanned.reals, scanned.long_reals, strict=True):
        places = np.flatnonzero(long_reals[:, 1])
        reals[places] = [float(data[start:stop].tobytes()) for start, stop in long_reals[places].tolist()]
    values = np.zeros((len(f.MEASURES), rows), np.int64)
    values[: len(scanned.counts)] = scanned.counts
    values[f.GPU_MS] = gpu_ms_of(scanned.reals[0])
    identity = np.empty(rows, np.uint64)
    identify(data, scanned.texts[:, _SOURCE], scanned.texts[:, _ID], identity)
    labels, key = _labels(data, scanned.texts)
    return UsageColumns(
        scanned.message, scanned.item, scanned.minute, values, scanned.reals[1], labels, key, identity
    )  # fmt: skip


def _labels(data: NDArray[np.uint8], spans: NDArray[np.int64]) -> tuple[Labels, NDArray[np.int32]]:
    """Distinct labels, and each row's place among them."""
    rows = len(spans)
    codes, key = np.empty((len(f.DIMENSIONS), rows), np.int32), np.empty(rows, np.int32)
    firsts, names = np.empty(rows, np.int32), list[str]()
    for place, own in enumerate(codes):
        count = number_texts(data, spans[:, place], empty_table(rows), own, firsts)
        codes[place] += np.int32(len(names))
        names += [data[start:stop].tobytes().decode() for start, stop in spans[firsts[:count], place].tolist()]
    distinct = np.empty((rows, len(f.DIMENSIONS)), np.int32)
    count = number_rows(np.ascontiguousarray(codes.T), empty_table(rows), distinct, 0, key)
    return Labels(names, distinct[:count].copy()), key
