"""Messages of usage to columns: plain ones by compiled code, the others by the decoder that knows all of JSON."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import frame as f
from detectors.admission import Stamps
from detectors.columns import UsageColumns, columns_of, gpu_ms_of, put_together
from detectors.compiled import is_compiled
from detectors.decode import Mistake, Reader
from detectors.events import UsageEvent
from detectors.frame import Labels
from detectors.labels import empty_table, identify, number_rows, number_texts
from detectors.scan import TEXTS, Scanned, room_for, scan

_OPENING_BRACE = ord("{")
_DEFAULT_ENVIRONMENT = b"production"
_SOURCE, _ID = TEXTS.index("source"), TEXTS.index("id")


class UsageReader:
    """Reads usage.

    Parameters
    ----------
    scans
        Whether plain messages are scanned; interpreted, that is slower than the decoder.

    Examples
    --------
    >>> raw = b'{"id":"a","time":"1970-01-01T01:00:00Z","source":"s","service":"bot","model":"m","requests":2}'
    >>> columns, mistakes = UsageReader().read([raw, b"{}"])
    >>> columns.minute.tolist(), columns.labels.keys()[0][1], [(message, mistake.code) for message, mistake in mistakes]
    ([60], 'bot', [(1, 'missing_field')])
    """

    def __init__(self, *, scans: bool = is_compiled(scan)) -> None:
        self._scans = scans
        self._reader = Reader(UsageEvent)
        self._stamps = Stamps()

    def read(self, payloads: list[bytes]) -> tuple[UsageColumns, list[tuple[int, Mistake]]]:
        """Return all events of messages, in their order, and the mistakes, each with the number of its message."""
        if not self._scans:
            return self._decode(payloads, range(len(payloads)))
        plain, columns = _scan(payloads)
        if plain.all():
            return columns, []
        others = np.flatnonzero(~plain).tolist()
        decoded, mistakes = self._decode([payloads[message] for message in others], others)
        return put_together(columns, decoded), mistakes

    def events(self, payload: bytes) -> dict[int, tuple[UsageEvent, bytes]]:
        """Return the events of a message by their index in it, each with its bytes as they came."""
        events, _ = self._reader.read(payload)
        items = self._reader.items(payload)
        return {index: (event, items[index]) for index, event in events}

    def _decode(
        self, payloads: list[bytes], numbers: range | list[int]
    ) -> tuple[UsageColumns, list[tuple[int, Mistake]]]:
        events: list[UsageEvent] = []
        message: list[int] = []
        item: list[int] = []
        mistakes: list[tuple[int, Mistake]] = []
        for number, payload in zip(numbers, payloads, strict=True):
            found, wrong = self._reader.read(payload)
            mistakes += [(number, mistake) for mistake in wrong]
            events += [event for _, event in found]
            item += [place for place, _ in found]
            message += [number] * len(found)
        minute = self._stamps.minutes([event.time for event in events])
        return columns_of(events, np.array(message, np.int32), np.array(item, np.int32), minute), mistakes


def _scan(payloads: list[bytes]) -> tuple[NDArray[np.bool_], UsageColumns]:
    """Which messages are plain, and the columns of those."""
    text = b"\x00".join([*payloads, _DEFAULT_ENVIRONMENT])
    data = np.frombuffer(text, np.uint8)
    ends = np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)) + 1) - 1
    defaults = np.zeros((len(TEXTS), 2), np.int64)
    defaults[TEXTS.index("environment")] = len(text) - len(_DEFAULT_ENVIRONMENT), len(text)
    plain = np.zeros(len(payloads), bool)
    into = room_for(int(np.count_nonzero(data == _OPENING_BRACE)))
    rows = scan(data, ends, defaults, into, plain)
    return plain, _columns_of_scanned(text, data, _first(into, rows))


def _first(into: Scanned, rows: int) -> Scanned:
    return Scanned(
        into.message[:rows], into.item[:rows], into.minute[:rows], into.texts[:rows], into.counts[:, :rows],
        into.reals[:, :rows], into.long_reals[:, :rows],
    )  # fmt: skip


def _columns_of_scanned(text: bytes, data: NDArray[np.uint8], scanned: Scanned) -> UsageColumns:
    rows = len(scanned.message)
    for reals, long_reals in zip(scanned.reals, scanned.long_reals, strict=True):
        places = np.flatnonzero(long_reals[:, 1])
        reals[places] = [float(text[start:stop]) for start, stop in long_reals[places].tolist()]
    values = np.zeros((len(f.MEASURES), rows), np.int64)
    values[: len(scanned.counts)] = scanned.counts
    values[f.GPU_MS] = gpu_ms_of(scanned.reals[0])
    identity = np.empty(rows, np.uint64)
    identify(data, scanned.texts[:, _SOURCE], scanned.texts[:, _ID], identity)
    labels, key = _labels(text, data, scanned.texts)
    return UsageColumns(
        scanned.message, scanned.item, scanned.minute, values, scanned.reals[1], labels, key, identity
    )  # fmt: skip


def _labels(text: bytes, data: NDArray[np.uint8], spans: NDArray[np.int64]) -> tuple[Labels, NDArray[np.int32]]:
    """Distinct labels, and each row's place among them."""
    rows = len(spans)
    codes, key = np.empty((len(f.DIMENSIONS), rows), np.int32), np.empty(rows, np.int32)
    firsts, names = np.empty(rows, np.int32), list[str]()
    for place, own in enumerate(codes):
        count = number_texts(data, spans[:, place], empty_table(rows), own, firsts)
        codes[place] += np.int32(len(names))
        names += [text[start:stop].decode() for start, stop in spans[firsts[:count], place].tolist()]
    distinct = np.empty((rows, len(f.DIMENSIONS)), np.int32)
    count = number_rows(np.ascontiguousarray(codes.T), empty_table(rows), distinct, 0, key)
    return Labels(names, distinct[:count].copy()), key
