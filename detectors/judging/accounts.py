"""Accounts: all labels under which anybody spent, numbered, so that what is counted by minute stands in columns.

Numbers follow the order of appearance. What a minute's reports say under labels is numbered once
(:class:`Bookkeeper`); after that nothing is looked up by name but what an alert tells.

Numbers are given anew where labels are forgotten (:mod:`detectors.judging.forgetting`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import NEVER
from detectors.compiled import compiled
from detectors.frame import COST, DIMENSIONS, REQUESTS, Key, shared
from detectors.minutes.ledger import SPEND_DIMENSIONS
from detectors.minutes.spends import Spend

_SERVICE, _MODEL = DIMENSIONS.index("service"), DIMENSIONS.index("model")
NOBODY = -1
"""The service of a key that is forgotten."""
_TOLD_APART = [(DIMENSIONS.index(name), name) for name in SPEND_DIMENSIONS]


def _none() -> NDArray[np.int32]:
    return np.zeros(0, np.int32)


class Accounts(msgspec.Struct):
    """Labels by number; columns with a row a key."""

    keys: list[Key] = []
    """Without principal and source. The list grows until rows go: then it is another one."""
    services: dict[str, int] = msgspec.field(default_factory=dict)
    """Numbers by name, in the order of numbers; another dict once some are forgotten."""
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    service: NDArray[np.int32] = msgspec.field(default_factory=_none)
    """The number of each key's service; :data:`NOBODY` for a key that is forgotten."""
    first: NDArray[np.int32] = msgspec.field(default_factory=_none)
    """The event minute in which each key was first spent under."""
    last: NDArray[np.int32] = msgspec.field(default_factory=_none)
    """The closed minute in which spend under each key last became known; :data:`NEVER` for one that is forgotten."""
    source_last: NDArray[np.int32] = msgspec.field(default_factory=_none)
    """The closed minute in which each source was last heard of."""

    def labels(self, service: str, scope: Mapping[str, str] | None = None) -> Key | None:
        """Return the newest key of a service: the last one in order, of those of its newest minute.

        Of keys that fit a scope, if one is given and any does; principals are in no key and do not count.
        """
        own = self.keys_of(service)
        if not len(own):
            return None
        fitting = self.fitting(scope, own.tolist()) if scope else own
        own = fitting if len(fitting) else own
        newest: Key = max(self.keys[key] for key in own[self.last[own] == self.last[own].max()].tolist())
        return newest

    def fitting(self, scope: Mapping[str, str], among: Iterable[int]) -> NDArray[np.intp]:
        """Return those of some keys' numbers whose labels are those of a scope; principals are in no key."""
        wanted = [(place, scope[name]) for place, name in _TOLD_APART if name in scope]
        return np.array([n for n in among if all(self.keys[n][place] == value for place, value in wanted)], np.intp)

    def team(self, service: str) -> str:
        """Return the team of a service's newest key."""
        key = self.labels(service)
        return key[0] if key else ""

    def newest_model(self, service: str) -> str:
        """Return the model that a service has used for the shortest time; empty while it has used but one."""
        since: dict[str, int] = {}
        for key in self.keys_of(service).tolist():
            since.setdefault(self.keys[key][_MODEL], int(self.first[key]))
        return max(since, key=lambda model: (since[model], model)) if len(since) > 1 else ""

    def services_since(self, minute: int) -> int:
        """Return of how many services spend became known after a minute."""
        return len(np.unique(self.service[self.last > minute]))

    def keys_of(self, service: str) -> NDArray[np.intp]:
        """Numbers of a service's keys that something was spent under, rising."""
        number = self.services.get(service, -1)
        return np.flatnonzero((self.service == number) & (self.last > NEVER))


class Booked(NamedTuple):
    """All that became known in a closed minute, of all shards: a row a key and event minute, and who was heard of."""

    minute: int
    key: NDArray[np.int32]
    service: NDArray[np.int32]
    at: NDArray[np.int32]
    """Event minute: below the minute that closed for late rows."""
    nano: NDArray[np.int64]
    requests: NDArray[np.int64]
    heard_service: NDArray[np.int32]
    """With the next column: every pair of a service and a source that sent something of it, at least once."""
    heard_source: NDArray[np.int32]


class _Numbers(dict[Key, int]):
    """The numbers of some accounts' keys; what is asked for and is not there is given one, at the end of the keys."""

    def __init__(self, accounts: Accounts) -> None:
        self.list = accounts.keys
        super().__init__((self.list[row], row) for row in np.flatnonzero(accounts.service > NOBODY).tolist())

    def __missing__(self, labels: Key) -> int:
        own = cast("Key", shared(labels))
        number = self[own] = len(self.list)
        self.list.append(own)
        return number


class Bookkeeper:
    """Numbers what reports say under labels, in whichever accounts it is given."""

    def __init__(self) -> None:
        self._numbers = _Numbers(Accounts())

    def book(self, accounts: Accounts, spends: Mapping[int, list[Spend]]) -> list[Booked]:
        """Number what became known in some minutes, in their order; the accounts take in what is new."""
        every = [spend for some in spends.values() for spend in some]
        if not every:
            return []
        key = self._number(accounts, every)
        first_row = _sums_before([len(spend.key) for spend in every])
        first_pair = _sums_before([len(spend.sent_row) for spend in every])
        sent_row = np.concatenate([spend.sent_row for spend in every]) + np.repeat(first_row[:-1], np.diff(first_pair))
        service, at = accounts.service[key], np.concatenate([spend.minute for spend in every])
        nano, requests = np.concatenate([spend.values[[COST, REQUESTS]] for spend in every], axis=1)
        heard, source = service[sent_row], np.concatenate([_sources(accounts, spend) for spend in every])
        accounts.source_last = _with_never(accounts.source_last, len(accounts.sources))
        ends = _sums_before([len(some) for some in spends.values()])
        bounds = zip(pairwise(first_row[ends].tolist()), pairwise(first_pair[ends].tolist()), strict=True)
        return [
            Booked(minute, key[a:b], service[a:b], at[a:b], nano[a:b], requests[a:b], heard[c:d], source[c:d])
            for minute, ((a, b), (c, d)) in zip(spends, bounds, strict=True)
        ]

    def forget(self, accounts: Accounts, rows: NDArray[np.intp]) -> None:
        """Give keys that are forgotten, by their rows, other numbers when they come back."""
        self._know(accounts)
        for row in rows.tolist():
            self._numbers.pop(accounts.keys[row], None)

    def _know(self, accounts: Accounts) -> None:
        """Look numbers up in the accounts that are given: others than before, after a restart or when rows went."""
        if self._numbers.list is not accounts.keys:
            self._numbers = _Numbers(accounts)

    def _number(self, accounts: Accounts, spends: list[Spend]) -> NDArray[np.int32]:
        """Return the number of each row's key; new ones follow the order of rows."""
        self._know(accounts)
        numbers, known = self._numbers, len(accounts.keys)
        labels = [spend.keys[place] for spend in spends for place in spend.key.tolist()]
        key = np.array([numbers[each] for each in labels], np.int32)
        if new := accounts.keys[known:]:
            services = accounts.services
            own = [services.setdefault(each[_SERVICE], len(services)) for each in new]
            accounts.service = np.concatenate([accounts.service, np.array(own, np.int32)])
            accounts.first = _with_never(accounts.first, len(accounts.keys))
            accounts.last = _with_never(accounts.last, len(accounts.keys))
        return key


def _sources(accounts: Accounts, spend: Spend) -> NDArray[np.int32]:
    """The number of the source of each pair."""
    sources = accounts.sources
    numbers = np.array([sources.setdefault(source, len(sources)) for source in spend.sources], np.int32)
    return numbers.take(spend.sent_source)


def _sums_before(lengths: list[int]) -> NDArray[np.intp]:
    """Where each of some stretches begins, and where the last one ends."""
    return np.cumsum([0, *lengths])


def _with_never(minutes: NDArray[np.int32], rows: int) -> NDArray[np.int32]:
    """Return a column of minutes with so many rows."""
    return np.concatenate([minutes, np.full(rows - len(minutes), NEVER, np.int32)])


def note_spent(accounts: Accounts, booked: Booked) -> None:
    """Remember when each key was spent under, and each source was heard of."""
    accounts.source_last[booked.heard_source] = booked.minute
    _note(accounts.first, accounts.last, booked)


@compiled
def _note(first: NDArray[np.int32], last: NDArray[np.int32], booked: Booked) -> None:
    for row in range(len(booked.key)):
        key = int(booked.key[row])
        last[key] = booked.minute
        if first[key] == NEVER:
            first[key] = booked.at[row]


def services_of(keys: list[Key], services: Mapping[str, int], last: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the number of each key's service, given when each was spent under last: never, if it is forgotten."""
    number = np.array([services.get(key[_SERVICE], NOBODY) for key in keys], np.int32)
    return np.where(last > NEVER, number, np.int32(NOBODY))
