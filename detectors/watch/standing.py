"""Standing: what was odd and still is, held against what was usual when it began.

Baselines learn: some hours after a prompt has doubled, the doubled prompt is what they know. So a detector's first word
on a series leaves a *hold* on it: the usual of that moment, which learns nothing. As long as the series is nearer to
what it was found at than to that usual, it is told every half an hour that it stands, so that an incident ends when it
is over and counts what it has cost until then. A hold ends once the series was back for an hour, and after a week.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import HORIZONS_MINUTES, Known
from detectors.baselines.drivers import REQUESTS
from detectors.baselines.residuals import part_of
from detectors.clock import MINUTES_PER_DAY, NEVER
from detectors.compiled import compiled
from detectors.events import DRIVERS
from detectors.minutes.series import SeriesName
from detectors.minutes.totals import GPU, PAID, Floats
from detectors.verdicts import DRIVER_OF_CHANNEL

Word = tuple[SeriesName, str, str]
"""Of which series something is said, by which detector, of which driver."""

TOLD_EVERY_MINUTES = 30
BACK_MINUTES = 60
LONGEST_MINUTES = 7 * MINUTES_PER_DAY
"""As long as the highest levels are remembered: what is so for longer is the usual."""
_LEAST_HORIZON, _HOUR = HORIZONS_MINUTES.index(15), HORIZONS_MINUTES.index(60)
"""A shorter one is too noisy to say that something is over; dollars are those of an hour at least, since just after one
of few requests a short horizon holds more of them than it does on the average."""

_DOLLARS, _LEAST_USD = -1, 1e-30
_CHANNEL_OF_DRIVER = np.full(len(DRIVERS), _DOLLARS)
_LEVELS = np.flatnonzero(DRIVER_OF_CHANNEL != REQUESTS)
_CHANNEL_OF_DRIVER[DRIVER_OF_CHANNEL[_LEVELS]] = _LEVELS
"""What each driver's holds look at: the level of a channel, or dollars a minute."""


class Holds(NamedTuple):
    """Columns with a row a hold."""

    series: NDArray[np.int32]
    detector: NDArray[np.int16]
    driver: NDArray[np.int8]
    horizon: NDArray[np.int8]
    """Which horizon is looked at."""
    since: NDArray[np.int32]
    back: NDArray[np.int32]
    """Since when it is seen to be back at the usual; :data:`detectors.clock.NEVER` while it is not."""
    told: NDArray[np.int32]
    """When it was told last."""
    usual: Floats
    """The usual when it began: the logarithm of a level, or dollars a minute."""
    bar: Floats
    """Half way from the usual to what was found."""


class HeldState(msgspec.Struct):
    """What is held, and the titles of the detectors that its numbers stand for."""

    holds: Holds
    detectors: list[str]


class Words(NamedTuple):
    """What detectors have just said of rows, in the order of rows; columns of shape (words,)."""

    row: NDArray[np.int32]
    detector: NDArray[np.int16]
    driver: NDArray[np.int8]
    horizon: NDArray[np.int8]
    usual_usd_per_minute: Floats


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """A series is still as a detector found it, and costs so much more than was usual then."""

    name: SeriesName
    detector: str
    driver: str
    minute: int
    usd_per_hour: float

    @property
    def word(self) -> Word:
        """What was said once: of which series, by which detector, of which driver."""
        return self.name, self.detector, self.driver


class _Told(NamedTuple):
    """Which holds are told in which rows, and the part of the cost that each bears upon, (told,)."""

    row: NDArray[np.int32]
    hold: NDArray[np.int32]
    part: Floats


def nothing_held() -> HeldState:
    """No hold."""
    int32, int16, int8 = np.zeros(0, np.int32), np.zeros(0, np.int16), np.zeros(0, np.int8)
    return HeldState(Holds(int32, int16, int8, int8, int32, int32, int32, np.zeros(0), np.zeros(0)), [])


def follow(
    state: HeldState, known: Known, words: Words, names: list[SeriesName], detectors: list[str]
) -> tuple[HeldState, list[Standing]]:
    """Look at the series that are held, begin new holds, and tell what stands.

    Parameters
    ----------
    state
        What is held; consumed. What a detector held that is there no more is let go.
    known
        The active series of some minutes, in the order of minutes; at least one.
    words
        What detectors said of them.
    names, detectors
        What series and detectors are called.
    """
    holds = _renumbered(state, detectors)
    holds = _some(holds, holds.since >= int(known.minute[0]) - LONGEST_MINUTES)  # also of series that died
    if not (len(holds.series) or len(words.row)):
        return HeldState(holds, detectors), []
    before = len(holds.series)
    holds = _both(holds, _begun(known, words))
    held, of_hold = np.unique(holds.series, return_inverse=True)
    rank = np.minimum(np.searchsorted(held, known.series), len(held) - 1)
    rows = np.flatnonzero(held[rank] == known.series).astype(np.int32)
    rank, alive = rank[rows], np.arange(len(holds.series)) < before
    most = int(np.bincount(of_hold, minlength=len(held))[rank].sum())
    told = _Told(np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most))
    count = _follow(holds, known, rows, rank, *_chains(of_hold, len(held)), words.row, before, alive, told)
    standing = _told(holds, known, _Told(told.row[:count], told.hold[:count], told.part[:count]), names, detectors)
    return HeldState(_some(holds, alive), detectors), standing


def _renumbered(state: HeldState, detectors: list[str]) -> Holds:
    """Return the holds by the numbers of these detectors: between two steps the configuration may have changed."""
    if state.detectors == detectors:
        return state.holds
    place = {title: number for number, title in enumerate(detectors)}
    number = np.array([place.get(title, -1) for title in state.detectors], np.int16)
    holds = state.holds._replace(detector=number[state.holds.detector])
    return _some(holds, holds.detector >= 0)


def _some(holds: Holds, chosen: NDArray[np.bool_]) -> Holds:
    columns: list[NDArray[Any]] = [column[chosen] for column in holds]
    return Holds(*columns)


def _both(holds: Holds, more: Holds) -> Holds:
    pairs: list[list[NDArray[Any]]] = [[getattr(some, name) for some in (holds, more)] for name in Holds._fields]
    return Holds(*map(np.concatenate, pairs))


def _begun(known: Known, words: Words) -> Holds:
    """A hold for each word; where nothing is known to be above the usual, one that nothing reaches."""
    row, horizon, minute = words.row, words.horizon, known.minute[words.row]
    channel = _CHANNEL_OF_DRIVER[words.driver]
    in_dollars, level, step = channel == _DOLLARS, known.level[row, horizon, channel], known.step[row, horizon, channel]
    found = np.where(in_dollars, known.usd[row, horizon], level)
    usual = np.where(in_dollars, words.usual_usd_per_minute, level - step)
    bar = np.where(found > usual, (found + usual) / 2, np.inf)
    looked_at = np.maximum(horizon, np.int8(_LEAST_HORIZON))
    never = np.full(len(row), NEVER, np.int32)
    return Holds(known.series[row], words.detector, words.driver, looked_at, minute, never, minute, usual, bar)


def _told(holds: Holds, known: Known, told: _Told, names: list[SeriesName], detectors: list[str]) -> list[Standing]:
    """What stands, each with the dollars an hour that it costs above what was usual when it began."""
    row, driver, horizon = told.row, holds.driver[told.hold], holds.horizon[told.hold]
    hour = np.maximum(horizon, np.int8(_HOUR))
    channel, usual, usd = _CHANNEL_OF_DRIVER[driver], holds.usual[told.hold], known.usd[row, hour]
    sums = known.sums[row, hour]
    tokens = told.part * usd * sums[:, PAID] / np.maximum(sums[:, PAID] + sums[:, GPU], _LEAST_USD)
    rises = 1 - np.exp(-np.clip(known.level[row, horizon, channel] - usual, -20, 20))
    hourly = 60 * np.maximum(np.where(channel == _DOLLARS, usd - usual, tokens * rises), 0.0)
    whose = zip(known.series[row].tolist(), holds.detector[told.hold].tolist(), driver.tolist(), strict=True)
    return [
        Standing(names[series], detectors[detector], DRIVERS[which], minute, usd_per_hour)
        for (series, detector, which), minute, usd_per_hour in zip(
            whose, known.minute[row].tolist(), hourly.tolist(), strict=True
        )
    ]


def _chains(rank: NDArray[np.intp], series: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The first hold of each held series, and the one that follows each; -1 at the end."""
    order = np.argsort(rank, kind="stable").astype(np.int32)
    head, following = np.full(series, -1, np.int32), np.full(len(rank), -1, np.int32)
    is_next = rank[order[1:]] == rank[order[:-1]]
    following[order[:-1][is_next]] = order[1:][is_next]
    head[rank[order[::-1]]] = order[::-1]
    return head, following


@compiled
def _follow(  # noqa: PLR0913, PLR0917 — columns in, columns out
    holds: Holds,
    known: Known,
    rows: NDArray[np.int32],
    rank: NDArray[np.intp],
    head: NDArray[np.int32],
    following: NDArray[np.int32],
    word_row: NDArray[np.int32],
    first_new: int,
    alive: NDArray[np.bool_],
    told: _Told,
) -> int:
    """Row by row: what stands, what ends, what begins; return how many holds are told."""
    count, new = 0, 0
    for at in range(len(rows)):
        row, first = int(rows[at]), int(head[int(rank[at])])
        minute, hold = int(known.minute[row]), first
        while hold >= 0:
            alive[hold] &= minute - int(holds.since[hold]) <= LONGEST_MINUTES
            if alive[hold]:
                value = _value(holds, known, row, hold)
                if value >= holds.bar[hold]:
                    holds.back[hold] = NEVER
                    if minute - int(holds.told[hold]) >= TOLD_EVERY_MINUTES:
                        holds.told[hold] = minute
                        told.row[count], told.hold[count] = row, hold
                        told.part[count] = _part(holds, known, row, hold)
                        count += 1
                elif value < holds.bar[hold] and int(holds.back[hold]) == NEVER:  # neither, where it is unknown
                    holds.back[hold] = minute
                alive[hold] = int(holds.back[hold]) == NEVER or minute - int(holds.back[hold]) < BACK_MINUTES
            hold = int(following[hold])
        while new < len(word_row) and int(word_row[new]) == row:
            hold = first_new + new
            alive[hold] = not _is_held(holds, alive, following, first, hold)
            new += 1
    return count


@compiled
def _value(holds: Holds, known: Known, row: int, hold: int) -> float:
    """What a hold looks at, NaN where it is unknown."""
    channel, horizon = int(_CHANNEL_OF_DRIVER[int(holds.driver[hold])]), int(holds.horizon[hold])
    return float(known.usd[row, horizon] if channel == _DOLLARS else known.level[row, horizon, channel])


@compiled
def _part(holds: Holds, known: Known, row: int, hold: int) -> float:
    """The part of a row's dollars of an hour at least that a hold's driver bears upon."""
    channel, horizon = int(_CHANNEL_OF_DRIVER[int(holds.driver[hold])]), max(int(holds.horizon[hold]), _HOUR)
    return float(part_of(known, row, horizon, channel))


@compiled
def _is_held(holds: Holds, alive: NDArray[np.bool_], following: NDArray[np.int32], first: int, hold: int) -> bool:
    """Whether another hold of the series is of the same detector and driver."""
    found, other = False, first
    while other >= 0 and not found:
        same = holds.detector[other] == holds.detector[hold] and holds.driver[other] == holds.driver[hold]
        found = bool(alive[other] and same and other != hold)
        other = int(following[other])
    return found
