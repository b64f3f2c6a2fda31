"""What the organisation spent, as the incidents stage counts it: by labels and day; for plans, in the last hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, NEVER
from detectors.compiled import compiled
from detectors.frame import DIMENSIONS, MEASURES
from detectors.intake.prices import NANO
from detectors.judging.accounts import Accounts, Booked, note_spent
from detectors.judging.forecast import DailySpend
from detectors.judging.forgetting import keep_rows, numbers_after
from detectors.minutes.ledger import ClosedRows
from detectors.minutes.spends import Spend
from detectors.state.room import rows_of, with_room
from detectors.sums import MOST_SUM

_DAYS = 32
"""A month and a day."""


class Spent(NamedTuple):
    """Nano-dollars with a row a spender; a day has the place of its number's remainder.

    A row holds the days up to its newest one and moves on when something is spent, so that a new day changes no row.
    """

    first_day: NDArray[np.int32]
    """The first day on which anything was spent, (rows,); :data:`NEVER` where nothing was."""
    newest_day: NDArray[np.int32]
    """The last one, (rows,)."""
    nano: NDArray[np.int64]
    """By the place of the day, (rows, 32); 0 for a day on which nothing was spent."""


class Spending(msgspec.Struct):
    """Who spent under which labels, and how much."""

    accounts: Accounts = msgspec.field(default_factory=Accounts)
    spent: Spent = msgspec.field(default_factory=lambda: nothing_spent(0))
    """A row a key of the accounts."""
    lately: dict[int, NDArray[np.int64]] = {}
    """What ceilings are held against: of the last hour, by the minute in which it became known, columns of key, event
    minute and nano-dollars, shape (3, rows)."""

    def count(self, booked: Booked, has_ceiling: NDArray[np.bool_]) -> None:
        """Add what became known in a minute.

        Parameters
        ----------
        booked
            What became known.
        has_ceiling
            Whether a ceiling by the hour may be held against each key, (keys,). Of others no hour is kept: a plan that
            is added later is held, in its first hour, against what was spent since it was added.
        """
        note_spent(self.accounts, booked)
        self.spent = with_room(self.spent, len(self.accounts.keys), nothing_spent)
        _count(self.spent, booked.key, booked.at, booked.nano)
        since = booked.minute - MINUTES_PER_HOUR
        self.lately = {minute: rows for minute, rows in self.lately.items() if minute > since}
        own = has_ceiling[booked.key] & (booked.at > since)
        if own.any():
            self.lately[booked.minute] = np.stack([booked.key[own], booked.at[own], booked.nano[own]])

    def usd_last_hour(self, minute: int, keys: NDArray[np.intp]) -> float:
        """What was spent in the hour up to a minute under some keys that a ceiling may be held against."""
        own = np.zeros(len(self.accounts.keys), bool)
        own[keys] = True
        held = [nano[own[key] & (at > minute - MINUTES_PER_HOUR)] for key, at, nano in self.lately.values()]
        return float(sum(usd for nano in held for usd in nano.tolist()) / NANO)

    def days_of(self, keys: NDArray[np.intp]) -> DailySpend:
        """What was spent under some keys by day."""
        own, spent = keys[self.spent.first_day[keys] > NEVER], self.spent
        if not len(own):
            return DailySpend()
        nano = {int(spent.first_day[own].min()): 0}
        newest, of_day = spent.newest_day[own], spent.nano[own]
        row, place = np.nonzero(of_day)
        day = newest[row] - (newest[row] - place) % _DAYS
        for at, usd in zip(day.tolist(), of_day[row, place].tolist(), strict=True):
            nano[at] = nano.get(at, 0) + usd
        return DailySpend(nano)

    def forget(self, rows: NDArray[np.intp]) -> None:
        """Forget what was spent under some keys, by their rows."""
        self.spent.first_day[rows] = self.spent.newest_day[rows] = NEVER
        self.spent.nano[rows] = 0

    def keep_rows(self, rows: NDArray[np.intp], minute: int) -> None:
        """Number keys anew, those of some rows, rising; all others are forgotten, so that nothing is of their hour."""
        before = len(self.accounts.keys)
        keep_rows(self.accounts, rows)
        self.spent = rows_of(self.spent, rows)
        number, since = numbers_after(rows, before), minute - MINUTES_PER_HOUR
        hour = {minute: rows for minute, rows in self.lately.items() if minute > since}
        self.lately = {minute: np.stack([number[key], at, nano]) for minute, (key, at, nano) in hour.items()}

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
    """Add to the day of each row's spender; what is older than its row holds is past."""
    for row in range(len(spender)):
        number, usd = int(spender[row]), int(nano[row])
        day, newest = int(at[row]) // MINUTES_PER_DAY, int(spent.newest_day[number])
        if spent.first_day[number] == NEVER or day < int(spent.first_day[number]):
            spent.first_day[number] = day
        if day > newest:
            for begun in range(max(newest, day - _DAYS) + 1, day + 1):
                spent.nano[number, begun % _DAYS] = 0
            spent.newest_day[number] = day
        if day > newest - _DAYS:
            place = day % _DAYS
            spent.nano[number, place] = min(int(spent.nano[number, place]) + usd, MOST_SUM)


def nothing_spent(rows: int) -> Spent:
    """Columns for so many spenders that never spent."""
    first_day, newest_day = np.full((2, rows), NEVER, np.int32)
    return Spent(first_day, newest_day, np.zeros((rows, _DAYS), np.int64))


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
