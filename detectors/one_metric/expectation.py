"""What a metric is expected to show next, and how far off that was: several simple experts, the better the heavier.

The experts: the last value, three moving levels, the same phase of earlier cycles, and a linear rule on earlier values
(recent ones, and those a cycle and seven cycles ago), fitted now and then to what was seen, robustly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXPERTS = 6
_LEVELS = (0.5, 0.1, 0.02)
_FORGET = 0.005
_GATHER = (0.25, 0.06, 0.015)
_RECENT = 0.08
_WARM_ROWS = 64
_MOST_SURPRISE = 50.0
_USUAL_LIVELINESS = 0.8
_RECENT_LAGS = (1, 2, 3, 4, 5, 6)


class Rule(msgspec.Struct, frozen=True):
    """A linear rule: mean + sum of weight x (value so many rows ago - mean)."""

    lags: list[int]
    weights: list[float]
    mean: float


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
    rule: Rule | None,
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
    rule
        The linear expert, if there is one yet.
    bounds
        Least error an expert is believed to make, and the surprise beyond which a value is drawn in.
    """
    floor, let_pass = bounds
    out = np.empty((5 + len(_GATHER), len(values)))
    for n, given in enumerate(values):
        if running.rows == 0 and not past:
            running.levels = [given] * len(_LEVELS)
        forecasts = _forecasts(running.levels, past, period, rule, given)
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


def _forecasts(levels: list[float], past: list[float], period: int, rule: Rule | None, given: float) -> list[float]:
    """What each expert expects."""
    rows = len(past)
    last = past[-1] if rows else given
    cycle = levels[-1]
    if period and rows >= period:
        back = sorted([past[rows - k * period] for k in (1, 2, 3) if k * period <= rows])
        cycle = back[1] if len(back) == 3 else sum(back) / len(back)
    linear = last
    if rule is not None:
        linear = rule.mean
        for lag, weight in zip(rule.lags, rule.weights, strict=True):
            linear += weight * (past[rows - lag] - rule.mean)
    return [last, *levels, cycle, linear]


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


def fit_rule(past: Floats, period: int, scale: float) -> Rule | None:
    """Fit the linear expert by ridge regression, twice weighted anew against what is far out (Huber)."""
    rows = len(past)
    lags = list(_RECENT_LAGS)
    if period > 8:
        lags += [period - 1, period, period + 1, 2 * period, 7 * period]
    lags = [lag for lag in lags if 2.5 * lag < rows]
    if scale <= 0 or not lags:
        return None
    mean, most = float(past.mean()), max(lags)
    usual = (past - mean) / scale
    given = np.stack([usual[most - lag : rows - lag] for lag in lags], axis=1)
    wanted, weight = usual[most:], np.ones(rows - most)
    for _ in range(3):
        weighted = given * weight[:, None]
        weights = np.linalg.solve(weighted.T @ given + 0.5 * np.eye(len(lags)), weighted.T @ wanted)
        off = np.abs(wanted - given @ weights)
        weight = np.minimum(1.0, 3 * (float(np.median(off)) + 1e-12) / np.maximum(off, 1e-12))
    return Rule(lags, weights.tolist(), mean)
