"""What the organisation spent, as the incidents stage counts it: by labels and day, and in the last hour."""

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
from detectors.room import with_room
from detectors.spends import Spend
from detectors.sums import MOST_SUM

_DAYS = 32
"""A month and a day."""


class Spent(NamedTuple):
    """Nano-dollars with a row a spender; a day or minute has the place of its number's remainder."""

    first_day: NDArray[np.int32]
    """The first day on which anything was spent, (rows,); :data:`NEVER` where nothing was."""
    day: NDArray[np.int32]
    """Which day each place holds, (rows, 32)."""
    day_nano: NDArray[np.int64]
    minute: NDArray[np.int32]
    """Which minute each place holds, (rows, 60)."""
    minute_nano: NDArray[np.int64]


class Spending(msgspec.Struct):
    """Who spent under which labels, and how much."""

    accounts: Accounts = msgspec.field(default_factory=Accounts)
    spent: Spent = msgspec.field(default_factory=lambda: nothing_spent(0))
    """A row a key of the accounts."""

    def count(self, booked: Booked) -> None:
        """Add what became known in a minute."""
        note_spent(self.accounts, booked)
        self.spent = with_room(self.spent, len(self.accounts.keys), nothing_spent)
        _count(self.spent, booked.key, booked.at, booked.nano)

    def usd_last_hour(self, minute: int, keys: NDArray[np.intp]) -> float:
        """What was spent under some keys in the hour up to a minute."""
        lately = self.spent.minute[keys] > minute - MINUTES_PER_HOUR
        return float(sum(self.spent.minute_nano[keys][lately].tolist()) / NANO)

    def days_of(self, keys: NDArray[np.intp]) -> DailySpend:
        """What was spent under some keys by day."""
        own, spent = keys[self.spent.first_day[keys] > NEVER], self.spent
        if not len(own):
            return DailySpend()
        nano = {int(spent.first_day[own].min()): 0}
        day, of_day = spent.day[own], spent.day_nano[own]
        held = day > NEVER
        for at, usd in zip(day[held].tolist(), of_day[held].tolist(), strict=True):
            nano[at] = nano.get(at, 0) + usd
        return DailySpend(nano)

    def keys_in(self, scope: Mapping[str, str]) -> NDArray[np.intp]:
        """Return the keys whose spend a scope holds: of its service, else of its other labels; rising.

        Keys do not tell principals apart. A service is looked at as a whole, whichever model of it a scope names.
        """
        accounts, service = self.accounts, scope.get("service")
        if service is not None:
            return accounts.keys_of(service)
        return accounts.fitting(scope, range(len(accounts.keys)))

    def labels_of(self, scope: Mapping[str, str]) -> dict[str, str]:
        """All that is known of a scope: the newest labels of its service that fit it, and its own."""
        service = scope.get("service")
        key = None if service is None else self.accounts.labels(service, scope)
        known = dict(zip(DIMENSIONS, key, strict=True)) if key else {}
        return {**known, **scope}


@compiled
def _count(spent: Spent, spender: NDArray[np.int32], at: NDArray[np.int32], nano: NDArray[np.int64]) -> None:
    """Add to the day and the minute of each row's spender; what is older than their place holds is past."""
    for row in range(len(spender)):
        number, minute, usd = int(spender[row]), int(at[row]), int(nano[row])
        day = minute // MINUTES_PER_DAY
        if spent.first_day[number] == NEVER or day < int(spent.first_day[number]):
            spent.first_day[number] = day
        place = day % _DAYS
        if int(spent.day[number, place]) < day:
            spent.day[number, place], spent.day_nano[number, place] = day, 0
        if int(spent.day[number, place]) == day:
            spent.day_nano[number, place] = min(spent.day_nano[number, place] + usd, MOST_SUM)
        place = minute % MINUTES_PER_HOUR
        if int(spent.minute[number, place]) < minute:
            spent.minute[number, place], spent.minute_nano[number, place] = minute, 0
        if int(spent.minute[number, place]) == minute:
            spent.minute_nano[number, place] = min(spent.minute_nano[number, place] + usd, MOST_SUM)


def nothing_spent(rows: int) -> Spent:
    """Columns for so many spenders that never spent."""
    days, minutes = (rows, _DAYS), (rows, MINUTES_PER_HOUR)
    return Spent(
        np.full(rows, NEVER, np.int32), np.full(days, NEVER, np.int32), np.zeros(days, np.int64),
        np.full(minutes, NEVER, np.int32), np.zeros(minutes, np.int64),
    )  # fmt: skip


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
