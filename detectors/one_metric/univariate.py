"""One metric, one pass: how odd each new value is, by what the metric itself has shown before.

Several views of the same past, each with its own idea of odd:

- **point**: the value against what experts expect that did well lately (:mod:`detectors.one_metric.expectation`);
- **level**: the distance from the same phase of earlier cycles, averaged over a few, dozens and many rows;
- **liveliness** and **roughness**: errors and steps that became larger, or smaller, than usual;
- **place**: how far the nearest values of the past are, whenever they were;
- **shape**: the last cycle as a whole against the nearest earlier one (:mod:`detectors.one_metric.discord`).

Each view's number becomes a p-value by its own past (:mod:`detectors.one_metric.tail`), and their logarithms add up,
with the weights below: liveliness and roughness see much the same, so the odder of them counts. A row is as odd as
that sum; or as the last rows are together, since an incident goes on in the rows of it that look usual; or as its value
alone is far out. The score is a fixed function of the oddness. Its own past says in turn how rare it is, and so what is
worth a page. Nothing looks ahead, nothing has to be set, and nothing depends on the metric's unit or zero. State is
bounded: some 450 kB a metric.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.one_metric import discord
from detectors.one_metric import tail as tails
from detectors.one_metric.expectation import Rule, Running, Seen, fit_rules, watch
from detectors.one_metric.period import period_of
from detectors.one_metric.tail import Tail

Floats = NDArray[np.float64]

HISTORY = 8192
"""Values kept: enough for four weeks of five minutes, or five days of minutes."""
BLOCK = 64
"""Tails are settled whenever so many rows are full, later four times as many, wherever the caller cuts."""
_YOUNG_ROWS = 1024
_VIEWS = ("point", "level", "level", "level", "liveliness", "roughness", "place", "shape")
_TWO_SIDED = ("level", "liveliness", "roughness")
_POINT, _LIVELY, _ROUGH = _VIEWS.index("point"), _VIEWS.index("liveliness"), _VIEWS.index("roughness")
_WEIGHTS = np.array([2.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.5, 2.0])[:, None]
_RESTLESS, _ALONE = 1.7, 4.0
"""What the odder of liveliness and roughness weighs; what the point weighs where it speaks alone."""
_HEAVY = 0.4
_HUGE = 1e150
"""What is larger cannot be squared: it counts as missing."""
_RECENT = 1 / 8
"""What a row weighs among the last ones."""
_MOST_RECENT, _TOGETHER = 10.0, 1.3
"""One row, however odd, is no more than this among the last ones; what they come to together weighs so much more."""
_HALF = 8.0
"""The oddness whose score is a half."""
_ODD_RARITY = 2.5
_LEAST_PASS = 5.0
_SMOOTH = 1e-3
"""No expert is believed to err by less than this part of the metric's spread."""


class MetricState(msgspec.Struct):
    """All that is remembered of one metric."""

    calm: Floats
    """A ring of the values as they count: over the first one, what is missing filled in, what is far out drawn in."""
    odd: NDArray[np.bool_]
    running: Running
    views: list[Tail]
    oddness: Tail
    zero: float = 0.0
    """The first value; all others are taken over it, so that a constant is nothing but zeros."""
    scale: float = 0.0
    """Spread of the values; 0 until they move."""
    places: Floats | None = None
    """The values in order."""
    period: int = 0
    rules: tuple[Rule, ...] = ()
    window: int = 0
    """Rows in a window whose shape is looked at, or 0."""
    recent: float = 0.0
    """Mean oddness of the last rows."""
    let_pass: float = _LEAST_PASS
    refit_at: int = BLOCK


class Words(NamedTuple):
    """What is said of some values, a row each; where a value is missing: score 0, p-value 1."""

    score: Floats
    """In [0, 1)."""
    p_value: Floats
    """How rare so odd a row has been."""
    expected: Floats


def start() -> MetricState:
    """Nothing seen yet."""
    views = [tails.start(two_sided=view in _TWO_SIDED) for view in _VIEWS]
    return MetricState(np.zeros(HISTORY), np.zeros(HISTORY, bool), Running(), views, tails.start(two_sided=False))


def step(state: MetricState, values: Floats) -> tuple[MetricState, Words]:
    """Take the next values of a metric, oldest first; NaN and infinities are missing.

    What is said does not depend on how many values come at once.

    Examples
    --------
    >>> values = 10 + np.sin(np.arange(500.0))
    >>> values[-1] = 40
    >>> _, words = step(start(), values)
    >>> bool(words.score[-1] > 0.6 > words.score[:-1].max())
    True
    """
    values = np.where(np.abs(values) < _HUGE, values, np.nan)
    at = 0
    if state.running.rows == 0:  # what is missing before the first value is not there
        at = int(np.argmax(np.isfinite(values))) if np.isfinite(values).any() else len(values)
        state.zero = float(values[at]) if at < len(values) else 0.0
    said = [Words(np.zeros(at), np.ones(at), np.full(at, np.nan))]
    while at < len(values):
        room = BLOCK - state.running.rows % BLOCK
        said.append(_block(state, values[at : at + room] - state.zero))
        at += room
    return state, Words(*(np.concatenate(parts) for parts in zip(*said, strict=True)))


def _block(state: MetricState, values: Floats) -> Words:
    """Take values up to the next settling."""
    rows, there = state.running.rows, np.isfinite(values)
    past = _last(state.calm, rows, min(rows, HISTORY))
    bounds = max(_SMOOTH * state.scale, 1e-300), state.let_pass
    seen = watch(state.running, past.tolist(), values.tolist(), state.period, state.rules, bounds)
    filled = np.where(there, values, seen.expected)
    numbers = _numbers(state, seen, past, filled, rows)
    oddness = np.where(there, _oddness(state, numbers, there), 0.0)
    rare = np.where(there, tails.rarity(state.oddness, oddness, 0.0), 0.0)
    at = np.arange(rows, rows + len(values)) % HISTORY
    state.calm[at], state.odd[at] = seen.calm, rare > _ODD_RARITY
    if rows >= BLOCK:  # before, nothing is expected yet
        _remember(state, numbers[:, there], oddness[there])
    if state.running.rows % (BLOCK if rows < _YOUNG_ROWS else 4 * BLOCK) == 0:
        _settle(state)
    return Words(oddness / (oddness + _HALF), np.minimum(10.0**-rare, 1.0), seen.expected + state.zero)


def _oddness(state: MetricState, numbers: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return how odd each row is, by all views together, by the last rows together, and by its value alone."""
    heavy = [0.0 if place == _POINT else _HEAVY for place in range(len(_VIEWS))]
    rarity = np.stack([tails.rarity(*given) for given in zip(state.views, numbers, heavy, strict=True)])
    summed = (_WEIGHTS * rarity).sum(axis=0) + _RESTLESS * np.maximum(rarity[_LIVELY], rarity[_ROUGH])
    together = np.empty(len(summed))
    for n, (one, is_there) in enumerate(zip(summed.tolist(), there.tolist(), strict=True)):
        if is_there:
            state.recent += _RECENT * (min(one, _MOST_RECENT) - state.recent)
        together[n] = _TOGETHER * state.recent
    return np.asarray(np.maximum(np.maximum(summed, together), _ALONE * rarity[_POINT]))


def _numbers(state: MetricState, seen: Seen, past: Floats, values: Floats, rows: int) -> Floats:
    """Return each view's number, shape (views, rows); 0 for a view that cannot see yet."""
    place = shape = np.zeros(len(values))
    if state.places is not None:
        place = _distance(state.places, values, state.scale)
    if state.window:
        shape = _discord(state, past, seen.calm, rows)
    return np.stack([np.abs(seen.surprise), *seen.gathered, seen.liveliness, seen.roughness, place, shape])


def _discord(state: MetricState, past: Floats, calm: Floats, rows: int) -> Floats:
    """Return the log distance of the newest windows to the nearest one before the present block."""
    place, window = rows % BLOCK, state.window
    begins, earlier = len(past) - place, min(rows - place, HISTORY - BLOCK)
    odd = state.odd[np.arange(rows - place - earlier, rows - place) % HISTORY]
    newest = np.concatenate([past[begins - window + 1 :], calm])
    found = discord.distances(past[begins - earlier : begins], odd, newest, window, place, BLOCK)
    return np.asarray(np.log(found / state.scale + 1e-3))


def _distance(places: Floats, values: Floats, scale: float) -> Floats:
    """Return the log distance to the few nearest values of the past."""
    few = max(2, len(places) // 400)
    at = np.searchsorted(places, values)
    below = np.where(at < few, np.inf, values - places[np.maximum(at - few, 0)])
    above = np.where(at + few > len(places), np.inf, places[np.minimum(at + few, len(places)) - 1] - values)
    return np.asarray(np.log(np.minimum(below, above) / scale + 1e-4))


def _remember(state: MetricState, numbers: Floats, oddness: Floats) -> None:
    sees = {"place": state.places is not None, "shape": state.window > 0}
    for name, view, number in zip(_VIEWS, state.views, numbers, strict=True):
        if sees.get(name, True):
            tails.learn(view, number)
    tails.learn(state.oddness, oddness)


def _settle(state: MetricState) -> None:
    """Set anew what is usual; every so often, what is expected and which shapes are usual."""
    for view in (*state.views, state.oddness):
        tails.settle(view)
    point = state.views[0]
    state.let_pass = max(_LEAST_PASS, point.threshold + 3 * point.size)
    rows = state.running.rows
    if rows >= state.refit_at:
        _refit(state, _last(state.calm, rows, min(rows, HISTORY)))
        state.refit_at = rows + min(max(rows // 4, BLOCK), HISTORY // 2)


def _refit(state: MetricState, past: Floats) -> None:
    low, high = np.quantile(past, [0.05, 0.95])
    scale = float(np.clip(past, low, high).std()) or float(past.std())
    if scale <= 1e-12 * float(np.abs(past).max()):
        return  # it stands still, but for rounding
    state.scale, state.places = scale, np.sort(past)
    state.period = period_of(past)
    state.rules = fit_rules(past, state.running.rows - len(past), state.period, scale)
    window = discord.window_of(state.period)
    if window != state.window and len(past) >= discord.LEAST_WINDOWS * window + BLOCK:
        state.window, state.views[-1] = window, tails.start(two_sided=False)


def _last(ring: Floats, rows: int, count: int) -> Floats:
    """Return the newest values of a ring, oldest first."""
    return np.asarray(ring[np.arange(rows - count, rows) % HISTORY])
