"""One metric, one pass: how odd each new value is, by what the metric itself has shown before.

Three views of the same past, each with its own idea of odd:

- **point**: the value against forecasts that have done well lately (last value, moving levels, the same phase
  of earlier cycles);
- **level**: the same surprise, gathered over the last dozens of values, so that a small shift that stays is seen;
- **shape**: the last cycle as a whole against the principal components of earlier ones (the reconstruction
  error of Shyu et al., 2003, on sliding windows).

Each view's raw number becomes a p-value by its own past: the empirical tail, and beyond it an exponential one
(the Gumbel domain of extreme value theory; Siffer et al., *SPOT*, KDD 2017). The smallest p-value, corrected for
there being three, is the answer. Nothing looks ahead, and nothing has to be set.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.period import period_of

HISTORY = 4096
"""Values kept: enough for two weeks of five minutes."""
LEARN_ROWS = 64
"""Values before which nothing is called odd."""
REFIT_ROWS = 256
_LEVELS = (0.5, 0.1, 0.02)
_GATHER = 0.04
_TAIL = 0.02
_TAIL_MEMORY = 2048
_FORGET = 0.005
_WINDOW_MOST = 256
_COMPONENTS_KEEP = 0.9
_LEAST_P = 1e-30
_LEAST = ((3.0, 0.7), (0.8, 0.15), (1.0, 0.3))
"""Threshold and mean excess of each view that no calm past takes below: a metric that stood still is not odd when it
stirs a little."""
_LET_PASS = 5.0

Floats = NDArray[np.float64]


class Tail(msgspec.Struct):
    """What one view has shown: a ring of its raw numbers, and from them a threshold and a mean excess."""

    ring: Floats
    least_threshold: float
    """Below this no raw number is odd, however calm the past."""
    least_excess: float
    count: int = 0
    threshold: float = math.inf
    excess: float = 1.0

    def p_value(self, raw: float) -> float:
        """Share of the past at least as odd; beyond the threshold, by the exponential tail."""
        if self.count < LEARN_ROWS:
            return 1.0
        if raw > self.threshold:
            return max(_TAIL * math.exp(-(raw - self.threshold) / self.excess), _LEAST_P)
        past = self.ring[: min(self.count, len(self.ring))]
        return max(float((past >= raw).mean()), _TAIL)

    def learn(self, raw: float) -> None:
        """Remember a raw number; every so often set the threshold anew."""
        self.ring[self.count % len(self.ring)] = raw
        self.count += 1
        if self.count == LEARN_ROWS or (self.count > LEARN_ROWS and self.count % 64 == 0):
            past = self.ring[: min(self.count, len(self.ring))]
            self.threshold = max(float(np.quantile(past, 1 - _TAIL)), self.least_threshold)
            above = past[past > self.threshold] - self.threshold
            self.excess = max(float(above.mean()) if len(above) else 0.0, self.least_excess)


class Shapes(msgspec.Struct, frozen=True):
    """Principal components of earlier windows; empty until there were enough."""

    mean: Floats
    components: Floats
    """Shape (components, window)."""
    noise: float


class MetricState(msgspec.Struct):
    """All that is remembered of one metric."""

    calm: Floats
    """A ring of the values, with what the point view found odd cut to what it would let pass."""
    rows: int
    levels: Floats
    errors: Floats
    gathered: float
    typical: float
    point: Tail
    level: Tail
    shape: Tail
    period: int = 0
    window: int = 0
    shapes: Shapes | None = None


class Word(msgspec.Struct, frozen=True):
    """What is said of one value: a p-value, a score in [0, 1] that rises as it falls, and what was expected."""

    p_value: float
    score: float
    expected: float


def start() -> MetricState:
    """Nothing seen yet."""
    point, level, shape = (Tail(np.zeros(_TAIL_MEMORY), *least) for least in _LEAST)
    experts = len(_LEVELS) + 2
    return MetricState(np.zeros(HISTORY), 0, np.zeros(len(_LEVELS)), np.zeros(experts), 0.0, 0.0, point, level, shape)


def step(state: MetricState, value: float) -> tuple[MetricState, Word]:
    """Take the next value of a metric; NaN and infinities are missing, and say nothing.

    Examples
    --------
    >>> state = start()
    >>> for n in range(500):
    ...     state, usual = step(state, 10 + math.sin(n))
    >>> state, odd = step(state, 40.0)
    >>> odd.score > 0.7 > usual.score
    True
    """
    if not math.isfinite(value):
        return state, Word(1.0, 0.0, math.nan)
    if state.rows == 0:
        state.levels[:] = value
    forecasts = _forecasts(state)
    surprise, expected, unit = _surprise(state, forecasts, value)
    calm = min(max(value, expected - _LET_PASS * unit), expected + _LET_PASS * unit) if state.rows else value
    state.gathered += _GATHER * (np.clip(surprise, -8, 8) - state.gathered)
    raws = (abs(surprise), abs(state.gathered), _misfit(state, calm))
    p_values = [tail.p_value(raw) for tail, raw in zip((state.point, state.level, state.shape), raws, strict=True)]
    p_value = min(1.0, 3 * min(p_values))
    _learn(state, forecasts, value, calm)
    for tail, raw in zip((state.point, state.level, state.shape), raws, strict=True):
        if tail is not state.shape or state.shapes is not None:
            tail.learn(min(raw, tail.threshold + 3 * tail.excess) if p_value < 1e-4 else raw)
    if state.rows % REFIT_ROWS == 0:
        _refit(state)
    return state, Word(p_value, score_of(p_value), expected)


def score_of(p_value: float) -> float:
    """Return a score in [0, 1]: 0 for the usual, a half at one in a hundred, towards one beyond."""
    depth = -math.log10(max(p_value, _LEAST_P))
    return depth / (depth + 2.0)


def _forecasts(state: MetricState) -> Floats:
    """What each expert expects: the last value, moving levels, the same phase of earlier cycles."""
    last = state.calm[(state.rows - 1) % HISTORY] if state.rows else state.levels[0]
    cycle = state.levels[0]
    if state.period and state.rows > state.period:
        back = [k * state.period for k in (1, 2, 3) if k * state.period <= min(state.rows, HISTORY)]
        cycle = float(np.median([state.calm[(state.rows - b) % HISTORY] for b in back]))
    return np.array([last, *state.levels, cycle])


def _surprise(state: MetricState, forecasts: Floats, value: float) -> tuple[float, float, float]:
    """How far the value is from what good experts expect, in units of how far they usually are; that, and the unit."""
    errors = np.maximum(state.errors, _floor(state))
    weight = (errors.min() / errors) ** 4
    expected = float((weight * forecasts).sum() / weight.sum())
    unit = float(errors.min() * 1.25)
    return ((value - expected) / unit if state.rows > 1 else 0.0), expected, unit


def _floor(state: MetricState) -> float:
    """Return the least error that an expert is believed to make."""
    return 1e-3 * state.typical + 1e-12


def _misfit(state: MetricState, value: float) -> float:
    """How badly the last window is made of the shapes of earlier ones."""
    if state.shapes is None:
        return 0.0
    window = np.append(_last(state.calm, state.rows, state.window - 1), value) - state.shapes.mean
    rest = window - (state.shapes.components @ window) @ state.shapes.components
    return math.log(float(rest @ rest) / state.shapes.noise + 1e-3)


def _last(ring: Floats, rows: int, count: int) -> Floats:
    """Return the newest values of a ring, oldest first."""
    return np.asarray(ring[np.arange(rows - count, rows) % HISTORY])


def _learn(state: MetricState, forecasts: Floats, value: float, calm: float) -> None:
    """Everything moves towards the new value; what is odd moves it by no more than the usual would."""
    forget = max(_FORGET, 1.0 / (state.rows + 1))
    errors = np.abs(forecasts - value)
    most = np.where(state.rows > LEARN_ROWS, 6 * np.maximum(state.errors, _floor(state)), np.inf)
    state.errors += forget * (np.minimum(errors, most) - state.errors)
    state.typical += forget * (abs(calm) - state.typical)
    state.levels += np.maximum(_LEVELS, 1.0 / (state.rows + 1)) * (calm - state.levels)
    state.calm[state.rows % HISTORY] = calm
    state.rows += 1


def _refit(state: MetricState) -> None:
    """Look for a cycle, and learn the shapes of windows as long as it."""
    past = _last(state.calm, state.rows, min(state.rows, HISTORY))
    state.period = period_of(past)
    window = min(state.period or 32, _WINDOW_MOST)
    if len(past) < 6 * window:
        return
    if window != state.window:
        state.window, state.shape = window, Tail(np.zeros(_TAIL_MEMORY), *_LEAST[2])
    stride = max(window // 8, 1)
    windows = np.lib.stride_tricks.sliding_window_view(past, window)[::stride]
    mean = np.median(windows, axis=0)
    centred = windows - mean
    size = np.sqrt((centred**2).sum(axis=1))
    centred = centred[size <= np.quantile(size, 0.98)]
    _, strength, components = np.linalg.svd(centred, full_matrices=False)
    share = np.cumsum(strength**2) / max(float((strength**2).sum()), 1e-300)
    keep = min(int(np.searchsorted(share, _COMPONENTS_KEEP)) + 1, max(window // 4, 1))
    rest = centred - (centred @ components[:keep].T) @ components[:keep]
    noise = float(np.median((rest**2).sum(axis=1))) + 1e-12 * (1 + state.typical**2)
    state.shapes = Shapes(mean, components[:keep], noise)
