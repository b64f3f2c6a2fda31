"""What the organisation spent, as the incidents stage counts it: by service and day, and in the last hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.accounts import Accounts, Booked, note_spent
from detectors.admission import NEVER
from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR
from detectors.compiled import compiled
from detectors.forecast import DailySpend
from detectors.frame import DIMENSIONS, MEASURES
from detectors.ledger import ClosedRows
from detectors.prices import NANO
from detectors.spends import Spend

_DAYS = 32
"""A month and a day."""


class ByService(NamedTuple):
    """Nano-dollars with a row a service; a day or minute has the place of its number's remainder."""

    first_day: NDArray[np.int32]
    """The first day on which anything was spent, (services,); :data:`NEVER` where nothing was."""
    day: NDArray[np.int32]
    """Which day each place holds, (services, 32)."""
    day_nano: NDArray[np.int64]
    minute: NDArray[np.int32]
    """Which minute each place holds, (services, 60)."""
    minute_nano: NDArray[np.int64]


class Spending(msgspec.Struct):
    """Who spent under which labels, and how much by service."""

    accounts: Accounts = msgspec.field(default_factory=Accounts)
    organisation: DailySpend = msgspec.field(default_factory=DailySpend)
    by_service: ByService = msgspec.field(default_factory=lambda: _empty(0))

    def count(self, booked: Booked) -> None:
        """Add what became known in a minute."""
        note_spent(self.accounts, booked)
        self.by_service = _room_for(self.by_service, len(self.accounts.services))
        _count(self.by_service, booked.service, booked.at, booked.nano)
        for at in np.unique(booked.at).tolist():
            self.organisation.add(at, int(booked.nano[booked.at == at].sum()))

    def nano_of(self, service: str, minute: int) -> int:
        """What a service spent in a minute of the last hour."""
        number, place = self.accounts.services.get(service), minute % MINUTES_PER_HOUR
        if number is None or self.by_service.minute[number, place] != minute:
            return 0
        return int(self.by_service.minute_nano[number, place])

    def usd_last_hour(self, service: str, minute: int) -> float:
        """What a service spent in the hour up to a minute."""
        number = self.accounts.services.get(service)
        if number is None:
            return 0.0
        lately = self.by_service.minute[number] > minute - MINUTES_PER_HOUR
        return int(self.by_service.minute_nano[number, lately].sum()) / NANO

    def labels_of(self, scope: dict[str, str]) -> dict[str, str]:
        """All that is known of a scope: the labels of its service, and its own."""
        key = self.accounts.labels(scope.get("service", ""))
        known = dict(zip(DIMENSIONS, key, strict=True)) if key else {}
        return {**known, **scope}

    def days_of(self, scope: dict[str, str]) -> DailySpend:
        """What the service of a scope spent by day; of the whole organisation where it names none."""
        service = scope.get("service", "")
        if not service:
            return self.organisation
        number = self.accounts.services.get(service)
        if number is None or self.by_service.first_day[number] == NEVER:
            return DailySpend()
        first, days = int(self.by_service.first_day[number]), self.by_service.day[number]
        known = np.flatnonzero(days > NEVER)
        nano = zip(days[known].tolist(), self.by_service.day_nano[number, known].tolist(), strict=True)
        return DailySpend({first: 0, **dict(nano)})


@compiled
def _count(spent: ByService, service: NDArray[np.int32], at: NDArray[np.int32], nano: NDArray[np.int64]) -> None:
    """Add rows to the day and the minute of their services; what is older than their place holds is past."""
    for row in range(len(service)):
        number, minute, usd = int(service[row]), int(at[row]), int(nano[row])
        day = minute // MINUTES_PER_DAY
        if spent.first_day[number] == NEVER or day < int(spent.first_day[number]):
            spent.first_day[number] = day
        place = day % _DAYS
        if int(spent.day[number, place]) < day:
            spent.day[number, place], spent.day_nano[number, place] = day, 0
        if int(spent.day[number, place]) == day:
            spent.day_nano[number, place] += usd
        place = minute % MINUTES_PER_HOUR
        if int(spent.minute[number, place]) < minute:
            spent.minute[number, place], spent.minute_nano[number, place] = minute, 0
        if int(spent.minute[number, place]) == minute:
            spent.minute_nano[number, place] += usd


def _empty(services: int) -> ByService:
    days, minutes = (services, _DAYS), (services, MINUTES_PER_HOUR)
    return ByService(
        np.full(services, NEVER, np.int32), np.full(days, NEVER, np.int32), np.zeros(days, np.int64),
        np.full(minutes, NEVER, np.int32), np.zeros(minutes, np.int64),
    )  # fmt: skip


def _room_for(spent: ByService, services: int) -> ByService:
    have = len(spent.first_day)
    if services <= have:
        return spent
    more = _empty(max(services, have + have // 2) - have)
    return ByService(*(np.concatenate([column, added]) for column, added in zip(spent, more, strict=True)))


def closed_rows(accounts: Accounts, booked: list[Booked], spends: Mapping[int, list[Spend]]) -> ClosedRows:
    """What was spent in some minutes, rows by labels and event minute; keys are those of the accounts."""
    parts = []
    for minute in booked:
        labels = [(accounts.keys[key], at) for key, at in zip(minute.key.tolist(), minute.at.tolist(), strict=True)]
        order = np.array(sorted(range(len(labels)), key=labels.__getitem__), np.intp)
        values = np.concatenate([spend.values for spend in spends[minute.minute]], axis=1)
        parts.append((minute.key[order], minute.at[order], values[:, order]))
    minutes = np.array([minute.minute for minute in booked], np.int32)
    start = np.cumsum([0, *(len(minute.key) for minute in booked)])
    if not parts:
        nothing = np.zeros(0, np.int32)
        return ClosedRows(minutes, start, nothing, nothing, np.zeros((len(MEASURES), 0), np.int64))
    key, at, values = zip(*parts, strict=True)
    return ClosedRows(minutes, start, np.concatenate(key), np.concatenate(at), np.concatenate(values, axis=1))
