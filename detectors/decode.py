"""Bytes to events: one event, a JSON array of them, NDJSON, or a CloudEvents 1.0 envelope of either.

A bad event costs itself only: its neighbours are kept, and it is rejected with the place and the reason.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from detectors.events import DeploymentEvent, UsageEvent

E = TypeVar("E", UsageEvent, DeploymentEvent)


class Mistake(msgspec.Struct, frozen=True):
    """Why one event of a message was refused: its index in the message, a short code and a sentence."""

    index: int
    code: str
    detail: str


class Reader(Generic[E]):
    """Reads messages of one kind of event.

    Examples
    --------
    >>> reader = Reader(UsageEvent)
    >>> events, mistakes = reader.read(b'{"id": "a"}')
    >>> mistakes[0].code, mistakes[0].detail
    ('missing_field', 'Object missing required field `time`')
    """

    def __init__(self, kind: type[E]) -> None:
        self._kind: type[E] = kind
        self._one: msgspec.json.Decoder[E] = msgspec.json.Decoder(kind)
        self._many = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]  # a type made at run time
        self._raw = msgspec.json.Decoder(list[msgspec.Raw])

    def read_all(self, payloads: list[bytes]) -> list[E] | None:
        """Read one event from each of many messages at once, or None where that is not what they all hold.

        Decoding the messages as one array is several times faster than one by one. The count tells whether
        a message held none, or more than one.
        """
        try:
            events: list[E] = self._many.decode(b"[" + b",".join(payloads) + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return events if len(events) == len(payloads) else None

    def read(self, payload: bytes) -> tuple[list[E], list[Mistake]]:
        """Return the events of one message, and the mistakes in it."""
        text = payload.strip()
        try:
            if text[:1] == b"[":
                return list(self._many.decode(text)), []
            return [self._one.decode(text)], []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._read_one_by_one(text)

    def read_lines(self, payload: bytes) -> tuple[list[E], list[Mistake]]:
        """Return the events of an NDJSON body, and the mistakes by line."""
        lines = [line for line in payload.splitlines() if line.strip()]
        events = self.read_all(lines)
        if events is not None:
            return events, []
        return self._collect([msgspec.Raw(line) for line in lines])

    def _read_one_by_one(self, text: bytes) -> tuple[list[E], list[Mistake]]:
        if text[:1] != b"[":
            return self._collect([msgspec.Raw(text)])
        try:
            return self._collect(self._raw.decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return [], [_mistake(0, error)]

    def _collect(self, items: list[msgspec.Raw]) -> tuple[list[E], list[Mistake]]:
        events: list[E] = []
        mistakes: list[Mistake] = []
        for index, item in enumerate(items):
            try:
                events.extend(self._open(bytes(item)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                mistakes.append(_mistake(index, error))
        return events, mistakes

    def _open(self, item: bytes) -> list[E]:
        """Return the event of an item, or the events in its envelope."""
        if b'"specversion"' not in item:
            return [self._one.decode(item)]
        envelope = msgspec.json.decode(item)
        if not isinstance(envelope, dict) or "specversion" not in envelope:
            return [self._one.decode(item)]
        if "data" not in envelope:
            raise msgspec.ValidationError("CloudEvents envelope missing required field `data`")
        given = {name: envelope[name] for name in ("id", "source", "time") if name in envelope}
        data = envelope["data"]
        if isinstance(data, list):
            return msgspec.convert(data, list[self._kind])  # type: ignore[name-defined]  # a type made at run time
        return [msgspec.convert({**given, **data} if isinstance(data, dict) else data, self._kind)]


def _mistake(index: int, error: Exception) -> Mistake:
    detail = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return Mistake(index, "not_json", detail)
    if "missing required field" in detail:
        return Mistake(index, "missing_field", detail)
    if ">=" in detail or "<=" in detail or "of length" in detail or "out of range" in detail:
        return Mistake(index, "out_of_range", detail)
    return Mistake(index, "wrong_type", detail)
