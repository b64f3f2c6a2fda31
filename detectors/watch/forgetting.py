"""Forgetting: what was not heard of for many days is new when it comes back, and some day its row is given up.

Of the two, only the first is seen from outside. A series that had no row on so many whole days begins as one never
seen, whether or not its row is still there; so rows may be dropped whenever that is worth it, and no answer depends on
it. That is when a day begins and a good part of all rows is of no use any more: dropping some numbers all others anew,
and a checkpoint then writes everything.

Keys are dropped for themselves: all that is remembered of one is which series it belongs to, which its labels say, and
whether it was active some minutes ago.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import empty_baselines
from detectors.clock import MINUTES_PER_DAY
from detectors.minutes.active import Active
from detectors.minutes.ledger import LedgerState, RowBatch
from detectors.minutes.series import BLANK, LOST, SeriesState
from detectors.state.room import renew, rows_of
from detectors.watch.deployed import forget_deployments, keep_services
from detectors.watch.parts import empty_parts
from detectors.watch.series_state import SeriesWatchState

LEAST_DROPPED = 1000
DROPPED_ONE_IN = 4
"""Rows are dropped when they are at least so many, and one in so many of all: then all others are written anew."""


def oldest_minute(day: int, after_days: int) -> int:
    """Return the first minute of so many whole days before a day: what was last heard of before it is forgotten."""
    return (day - after_days) * MINUTES_PER_DAY


def renew_returned(state: SeriesWatchState, active: Active, oldest: int) -> None:
    """Let the series that come back after long begin as those that were never seen, without a team.

    Parameters
    ----------
    state
        Changed; with room for all series.
    active
        What series did in some minutes of one day.
    oldest
        What was last active before this minute is forgotten.
    """
    series, baselines = state.series, state.baselines
    silent = active.series[baselines.last[active.series] < oldest]
    back = np.unique(silent[baselines.active_minutes[silent] > 0])
    if not len(back):
        return
    renew(baselines, back, empty_baselines)
    renew(state.parts, back, empty_parts)
    for place in back.tolist():
        series.teams[place] = ""
    is_back = np.zeros(len(series.names) + 2, bool)  # the last two for keys without a series
    is_back[back] = True
    series.counted[is_back[series.of_key].any(axis=1)] = False
    state.forgotten.begun_anew += len(back)


def begin_day(state: SeriesWatchState, day: int, oldest: int) -> None:
    """Drop series that are forgotten, if they are many, and number the others anew in the same order."""
    state.forgotten.day = day
    forget_deployments(state.deployed, oldest)
    keep = _kept_series(state, oldest)
    if not are_worth_dropping(len(state.series.names) - len(keep), len(state.series.names)):
        return
    _keep_series(state, keep)
    state.forgotten.series_dropped += 1


def _kept_series(state: SeriesWatchState, oldest: int) -> NDArray[np.intp]:
    """Places of the series that stay: those that are remembered, are held, are not active yet, or have such parts."""
    series, rows = state.series, len(state.series.names)
    stays = (state.baselines.last[:rows] >= oldest) | (state.baselines.active_minutes[:rows] == 0)
    stays[state.held.holds.series] = True
    stays[series.whole[stays]] = True
    return np.flatnonzero(stays)


def are_worth_dropping(dropped: int, rows: int) -> bool:
    """Whether rows of no use are so many, of all, that the others may be numbered and written anew for it."""
    return dropped >= max(LEAST_DROPPED, rows // DROPPED_ONE_IN, 1)


def _keep_series(state: SeriesWatchState, keep: NDArray[np.integer[Any]]) -> None:
    series = state.series
    place = np.full(len(series.names) + 2, LOST, np.int32)
    place[keep] = np.arange(len(keep))
    place[BLANK] = BLANK  # from the end, as LOST
    services, service = np.unique(series.service[keep], return_inverse=True)
    of_key = place[series.of_key]
    state.series = SeriesState(
        names=[series.names[n] for n in keep.tolist()],
        teams=[series.teams[n] for n in keep.tolist()],
        services=[series.services[n] for n in services.tolist()],
        service=service.astype(np.int32),
        hashes=series.hashes[keep],
        cohort=series.cohort[keep],
        role=series.role[keep],
        whole=place[series.whole[keep]],
        of_key=of_key,
        counted=series.counted & ~(of_key == LOST).any(axis=1),
    )
    state.baselines, state.parts = rows_of(state.baselines, keep), rows_of(state.parts, keep)
    state.deployed = keep_services(state.deployed, services)
    holds = state.held.holds
    state.held.holds = holds._replace(series=place[holds.series])


def drop_keys(ledger: LedgerState, state: SeriesWatchState, oldest: int) -> None:
    """Drop keys that were not active since a minute and that no row waits under, if they are many.

    Parameters
    ----------
    ledger
        Whose keys they are; changed.
    state
        Of the series of these keys, all of them; changed.
    oldest
        The minute.
    """
    keys = len(ledger.keys)
    stays = state.key_last[:keys] >= oldest
    for batches in ledger.pending.values():
        for batch in batches:
            stays[batch.key] = True
    keep = np.flatnonzero(stays)
    if not are_worth_dropping(keys - len(keep), keys):
        return
    place = np.full(keys, -1, np.int32)
    place[keep] = np.arange(len(keep))
    ledger.keys = [ledger.keys[n] for n in keep.tolist()]
    ledger.pending = {
        minute: [RowBatch(place[batch.key], batch.minute, batch.values) for batch in batches]
        for minute, batches in ledger.pending.items()
    }
    renumber_keys(state, keep)


def renumber_keys(state: SeriesWatchState, keep: NDArray[np.integer[Any]]) -> None:
    """Take over that some keys are gone, and the others numbered anew in the same order.

    Whoever numbers the keys may drop any that were not active for longer than
    :data:`detectors.minutes.active.WARM_MINUTES`: one that comes back is looked up by its labels.

    Parameters
    ----------
    state
        Changed.
    keep
        Places of the keys that stay, rising; those of keys of which no minute has closed yet may be among them.
    """
    series = state.series
    known = keep[keep < len(series.of_key)]
    series.of_key, series.counted = series.of_key[known], series.counted[known]
    state.key_last = state.key_last[known]
    state.forgotten.keys_dropped += 1
