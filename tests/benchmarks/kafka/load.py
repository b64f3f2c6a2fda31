"""Usage as gateways send it, the same bytes for all: some hundred series, many minutes, about 350 bytes an event.

A line is the number of a partition and a message. The last minute holds an event of a model that nobody has a price
for, which raises an alert: once it is there, all minutes have been judged. After it each partition has one event of a
later minute, which closes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from tests.benchmarks.places import CACHE, say

START = datetime(2025, 10, 1, tzinfo=UTC)
UNPRICED = "no-price"


class Load(msgspec.Struct, frozen=True):
    """How much: each minute every gateway reports on every principal of every service.

    With ``active_one_in`` only one service in so many does anything, from the one of number ``active_first`` on.
    With ``alert_every_minutes``, the first event of every so many minutes is of a model without a price, each time of
    another service: an alert each.
    """

    minutes: int = 100
    services: int = 100
    principals: int = 2
    gateways: int = 50
    partitions: int = 4
    start: datetime = START
    alert_every_minutes: int = 0
    closed_by: int = 0
    """Which service, from the last, has the event that raises the last alert."""
    active_first: int = 0
    active_one_in: int = 1

    @property
    def events_a_minute(self) -> int:
        """How many events are of one minute."""
        return len(self._active) * self.principals * self.gateways

    @property
    def _active(self) -> range:
        return range(self.active_first, self.services, self.active_one_in)

    @property
    def series(self) -> int:
        """How many series the shipped views make of it: services, their principals, their models."""
        return self.services * (self.principals + 2)

    @property
    def events(self) -> int:
        """All of them."""
        return self.minutes * self.events_a_minute + 1 + self.partitions

    def time_of(self, minute: int) -> str:
        """Return the time of a minute, counted from the start."""
        return self.after(minute).strftime("%Y-%m-%dT%H:%M:%SZ")

    def after(self, minutes: int) -> datetime:
        """Return a moment, counted from the start."""
        return self.start + timedelta(minutes=minutes)

    def lines(self, at_once: int = 1) -> Iterator[bytes]:
        """Return partition and message, a line each, in order of time; messages are arrays where ``at_once`` > 1."""
        waiting: list[list[bytes]] = [[] for _ in range(self.partitions)]
        for minute in range(self.minutes):
            for partition, event in self.minute(minute):
                waiting[partition].append(event)
                if len(waiting[partition]) == at_once:
                    yield _line(partition, waiting[partition])
                    waiting[partition] = []
        for partition, rest in enumerate(waiting):
            if rest:
                yield _line(partition, rest)
        for partition, event in self.end():
            yield _line(partition, [event])

    def minute(self, minute: int) -> Iterator[tuple[int, bytes]]:
        """Return the events of one minute, each with its partition."""
        draw = np.random.default_rng(minute)
        many = (self.gateways, self.services * self.principals)
        requests = draw.poisson(20, many) + 1
        errors = draw.binomial(requests, 0.01)
        input_tokens = (requests * draw.normal(2000, 100, many)).astype(int)
        output_tokens = (requests * draw.normal(300, 20, many)).astype(int)
        time = self.time_of(minute)
        if self.alert_every_minutes and minute % self.alert_every_minutes == 0:
            others = self.services - 1 - self.closed_by  # the last one's must be its first, or it opens no incident
            who = minute // self.alert_every_minutes % others * 2
            yield 0, self._unpriced(minute, who)
        for gateway in range(self.gateways):
            for who in (service * self.principals + own for service in self._active for own in range(self.principals)):
                at = gateway, who
                counts = int(requests[at]), int(errors[at]), int(input_tokens[at]), int(output_tokens[at])
                yield gateway % self.partitions, _event(f"{minute:06}-{who:05}", time, gateway, who, counts)

    def end(self) -> Iterator[tuple[int, bytes]]:
        """Return the event that raises an alert, and what closes its minute."""
        yield 0, self._unpriced(self.minutes - 1, (self.services - 1 - self.closed_by) * 2)
        for partition in range(self.partitions):
            yield partition, _event("closing", self.time_of(self.minutes + 1), partition, 0, (1, 0, 1000, 100))

    def _unpriced(self, minute: int, who: int) -> bytes:
        event = _event(f"alert-{minute}-{who}", self.time_of(minute), 0, who, (500, 0, 1_000_000, 100_000))
        return msgspec.json.encode({**msgspec.json.decode(event), "model": f"{UNPRICED}-{who}", "cost_usd": None})

    @property
    def last_service(self) -> str:
        """The service that the last alert is about."""
        return _service(self.services - 1 - self.closed_by)

    def file(self, at_once: int = 1) -> Path:
        """Return a file of the lines; made once."""
        names = "-".join(str(value) for value in msgspec.structs.astuple(self) if isinstance(value, int))
        file = CACHE / "kafka" / f"usage-{self.start:%Y%m%dT%H%M}-{names}-by-{at_once}.lines"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            say(f"Making {self.events:,} events")
            part = file.with_suffix(".part")
            with part.open("wb") as lines:
                lines.writelines(self.lines(at_once))
            part.rename(file)
        return file


def _line(partition: int, events: list[bytes]) -> bytes:
    message = events[0] if len(events) == 1 else b"[" + b",".join(events) + b"]"
    return b"%d %s\n" % (partition, message)


def _event(name: str, time: str, gateway: int, who: int, counts: tuple[int, int, int, int]) -> bytes:
    """Every other gateway tells what was paid; the others leave it to the price list."""
    service = _service(who // 2)
    requests, errors, input_tokens, output_tokens = counts
    cost = "null" if gateway % 2 else f"{input_tokens * 4e-7 + output_tokens * 1.6e-6:.6f}"
    return (
        f'{{"id":"{gateway:03}-{name}","time":"{time}","source":"gateway-{gateway}","team":"team-{who % 20}",'
        f'"service":"{service}","environment":"production","initiative":"","principal":"{service}/key-{who % 2}",'
        f'"provider":"openai","model":"gpt-4.1-mini","requests":{requests},"errors":{errors},'
        f'"input_tokens":{input_tokens},"cached_input_tokens":{input_tokens // 4},"output_tokens":{output_tokens},'
        f'"cost_usd":{cost}}}'
    ).encode()


def _service(number: int) -> str:
    return f"service-{number:04}"
