"""What a metric is expected to show next, and how far off that was: several simple experts, the better the heavier.

The experts: the last value, three moving levels, the same phase of earlier cycles, and two linear rules on earlier
values (recent ones, and those a cycle and seven cycles ago), fitted now and then to what was seen, robustly. One of the
two has waves of the cycle and of seven cycles as well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXPERTS = 7
_LEVELS = (0.5, 0.1, 0.02)
_FORGET = 0.005
_GATHER = (0.25, 0.06, 0.015)
_RECENT = 0.08
_WARM_ROWS = 64
_MOST_SURPRISE = 50.0
_USUAL_LIVELINESS = 0.8
_RECENT_LAGS = (1, 2, 3, 4, 5, 6)
_CYCLE_TURNS = (1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 21, 28)
"""Turns of the waves in a cycle, which may itself be a week of days."""
_WEEK_TURNS = (1, 2, 3, 6, 7, 8, 13, 14, 15, 21, 28, 35, 42)
"""In seven cycles: waves of the week, of the day, and of days that differ by the week."""


class Rule(msgspec.Struct, frozen=True):
    """A linear rule: mean + sum of weight x (value so many rows ago - mean) + what the place in the season adds."""

    lags: list[int]
    weights: list[float]
    mean: float
    season: list[float]
    """Row n is at place n modulo its length."""


class Running(msgspec.Struct):
    """Moving figures, all in the metric's own unit but for ``liveliness``."""

    rows: int = 0
    levels: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_LEVELS))
    errors: list[float] = msgspec.field(default_factory=lambda: [0.0] * _EXPERTS)
    """Mean absolute error by expert."""
    gathered: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_GATHER))
    """Distance from the same phase of earlier cycles, averaged over some, dozens and many rows."""
    off_cycle: float = 0.0
    liveliness: float = 0.0
    step: float = 0.0
    usual_step: float = 0.0


class Seen(NamedTuple):
    """What was made of some values, a row each."""

    expected: Floats
    surprise: Floats
    """Distance from the expected, in units of the best expert's usual error."""
    gathered: Floats
    """Shape (horizons, rows)."""
    liveliness: Floats
    """Log of the mean surprise of the last dozen rows."""
    roughness: Floats
    """Log of the mean step from row to row over the last dozen, against the usual step."""
    calm: Floats
    """The values, with what is missing filled in and what is far out drawn in."""


def watch(
    running: Running,
    past: list[float],
    values: list[float],
    period: int,
    rules: tuple[Rule, ...],
    bounds: tuple[float, float],
) -> Seen:
    """Take the next values; ``past`` grows by what they count as.

    Parameters
    ----------
    running
        Moved on in place.
    past
        Earlier values, oldest first; at least three cycles where there were as many.
    values
        The next ones; NaN is missing.
    period
        Rows in a cycle, or 0.
    rules
        The linear experts, if there are any yet.
    bounds
        Least error an expert is believed to make, and the surprise beyond which a value is drawn in.
    """
    floor, let_pass = bounds
    out = np.empty((5 + len(_GATHER), len(values)))
    for n, given in enumerate(values):
        if running.rows == 0 and not past:
            running.levels = [given] * len(_LEVELS)
        forecasts = _forecasts(running, past, period, rules, given)
        errors = [max(error, floor) for error in running.errors]
        best = min(errors)
        weights = [(best / error) ** 4 for error in errors]
        expected = math.fsum(map(float.__mul__, weights, forecasts)) / math.fsum(weights)
        missing = math.isnan(given)
        value = expected if missing else given
        unit, off = 1.25 * best, value - expected
        warm = running.rows >= _WARM_ROWS
        if running.rows == _WARM_ROWS and max(running.errors) > 0:
            running.liveliness = _USUAL_LIVELINESS
        surprise = max(min(off / unit, _MOST_SURPRISE), -_MOST_SURPRISE) if warm else 0.0
        calm = value if abs(off) <= let_pass * unit or not warm else expected + math.copysign(let_pass * unit, off)
        if not missing:
            _learn(running, forecasts, value, calm, floor)
            _gather(running, value - forecasts[4], floor, surprise)
        before = past[-1] if past else value
        _step(running, abs(value - before), floor)
        past.append(calm)
        running.rows += 1
        rough = math.log((running.step + floor) / (running.usual_step + floor))
        out[:, n] = expected, surprise, math.log(running.liveliness + 0.01), rough, calm, *running.gathered
    return Seen(out[0], out[1], out[5:], out[2], out[3], out[4])


def _forecasts(running: Running, past: list[float], period: int, rules: tuple[Rule, ...], given: float) -> list[float]:
    """What each expert expects."""
    rows, levels = len(past), running.levels
    last = past[-1] if rows else given
    cycle = levels[-1]
    if period and rows >= period:
        back = sorted([past[rows - k * period] for k in (1, 2, 3) if k * period <= rows])
        cycle = back[1] if len(back) == 3 else sum(back) / len(back)
    linear = [last, last]
    for n, rule in enumerate(rules):
        linear[n] = rule.mean + rule.season[running.rows % len(rule.season)]
        for lag, weight in zip(rule.lags, rule.weights, strict=True):
            linear[n] += weight * (past[rows - lag] - rule.mean)
    return [last, *levels, cycle, *linear]


def _learn(running: Running, forecasts: list[float], value: float, calm: float, floor: float) -> None:
    """Move levels and errors; what is far out moves an error by no more than six usual ones."""
    start = 1.0 / (running.rows + 1)
    forget, warm, errors = max(_FORGET, start), running.rows > _WARM_ROWS, running.errors
    for n, forecast in enumerate(forecasts):
        error = abs(forecast - value)
        if warm:
            error = min(error, 6 * max(errors[n], floor))
        errors[n] += forget * (error - errors[n])
    for n, weight in enumerate(_LEVELS):
        running.levels[n] += max(weight, start) * (calm - running.levels[n])


def _gather(running: Running, off_cycle: float, floor: float, surprise: float) -> None:
    """Average over rows; one value alone, however far out, moves an average little."""
    usual = max(running.off_cycle, floor)
    warm = running.rows >= _WARM_ROWS
    size = min(abs(off_cycle), 6 * usual) if warm else abs(off_cycle)
    running.off_cycle += max(_FORGET, 1.0 / (running.rows + 1)) * (size - running.off_cycle)
    if warm:
        off_cycle = max(min(off_cycle, 5 * usual), -5 * usual)
    for n, weight in enumerate(_GATHER):
        running.gathered[n] += weight * (off_cycle - running.gathered[n])
    running.liveliness += _RECENT * (min(abs(surprise), 4.0) - running.liveliness)


def _step(running: Running, step: float, floor: float) -> None:
    if running.rows >= _WARM_ROWS:
        step = min(step, 6 * running.usual_step + floor)
    running.step += _RECENT * (step - running.step)
    running.usual_step += max(_FORGET, 1.0 / (running.rows + 1)) * (step - running.usual_step)


def fit_rules(past: Floats, first_row: int, period: int, scale: float) -> tuple[Rule, ...]:
    """Fit the linear experts: on earlier values alone, and where there is a cycle on waves of day and week as well.

    Parameters
    ----------
    past
        Values, oldest first.
    first_row
        The number of the oldest.
    period
        Rows in a cycle, or 0.
    scale
        Spread of the values.
    """
    lags = list(_RECENT_LAGS)
    if period > 8:
        lags += [period - 1, period, period + 1, 2 * period, 7 * period]
    lags = [lag for lag in lags if 2.5 * lag < len(past)]
    if scale <= 0 or not lags:
        return ()
    alone = _fit(past, lags, scale, np.zeros((len(past), 0)), np.zeros((1, 0)))
    if period <= 8:
        return (alone,)
    week = 2.5 * 7 * period < len(past)
    season, turns = (7 * period, _WEEK_TURNS) if week else (period, _CYCLE_TURNS)
    angle = 2 * np.pi * np.arange(season)[:, None] * np.array([turn for turn in turns if 2 * turn < season]) / season
    waves = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    return alone, _fit(past, lags, scale, waves[np.arange(first_row, first_row + len(past)) % season], waves)


def _fit(past: Floats, lags: list[int], scale: float, waves: Floats, season: Floats) -> Rule:
    """Ridge regression, twice weighted anew against what is far out (Huber)."""
    rows, mean, most = len(past), float(past.mean()), max(lags)
    usual = (past - mean) / scale
    given = np.concatenate([np.stack([usual[most - lag : rows - lag] for lag in lags], axis=1), waves[most:]], axis=1)
    wanted, weight = usual[most:], np.ones(rows - most)
    for _ in range(3):
        weighted = given * weight[:, None]
        weights = np.linalg.solve(weighted.T @ given + 0.5 * np.eye(given.shape[1]), weighted.T @ wanted)
        off = np.abs(wanted - given @ weights)
        weight = np.minimum(1.0, 3 * (float(np.median(off)) + 1e-12) / np.maximum(off, 1e-12))
    return Rule(lags, weights[: len(lags)].tolist(), mean, (scale * season @ weights[len(lags) :]).tolist())
