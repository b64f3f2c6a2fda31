"""Simple detectors of one metric, all causal: scores by row. What has to be learned is learned from the first third."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detectors.one_metric.period import period_of

Floats = NDArray[np.float64]
_WINDOW = 32


def rolling_z(values: Floats) -> Floats:
    """Distance from the mean of the last 256 rows, in their spreads."""
    scores, rows = np.zeros(len(values)), 256
    for n in range(10, len(values)):
        past = values[max(n - rows, 0) : n]
        scores[n] = abs(values[n] - past.mean()) / (past.std() + 1e-9)
    return scores


def ewma_z(values: Floats, weight: float = 0.1) -> Floats:
    """Distance from a moving mean, in moving spreads."""
    scores, mean, spread = np.zeros(len(values)), values[0], 0.0
    for n, value in enumerate(values):
        off = value - mean
        scores[n] = abs(off) / (np.sqrt(spread) + 1e-9) if n > 20 else 0.0
        mean += weight * off
        spread += max(0.01, 1 / (n + 1)) * (off**2 - spread)
    return scores


def seasonal_naive(values: Floats) -> Floats:
    """Distance from the value a cycle ago, against the usual one."""
    period = _period(values)
    off = np.abs(values[period:] - values[:-period])
    return np.concatenate([np.zeros(period), _against_usual(off)])


def holt_winters(values: Floats) -> Floats:
    """Error of level, trend and season smoothed by .2, .01 and .1, against the usual one."""
    period = _period(values)
    level, trend = values[:period].mean(), 0.0
    season, off = values[:period] - level, np.zeros(len(values))
    for n, value in enumerate(values):
        off[n] = abs(value - level - trend - season[n % period])
        before = level
        level = 0.2 * (value - season[n % period]) + 0.8 * (level + trend)
        trend += 0.01 * (level - before - trend)
        season[n % period] += 0.1 * (value - level - season[n % period])
    return _against_usual(off)


def isolation_forest(values: Floats) -> Floats:
    """A forest on windows of 32 rows, fitted to the first third."""
    windows = np.lib.stride_tricks.sliding_window_view(values, _WINDOW)
    grown = IsolationForest(random_state=0).fit(windows[: len(values) * 3 // 10])
    scores = -grown.score_samples(windows)
    return np.concatenate([np.full(_WINDOW - 1, scores.min()), scores])


def principal_components(values: Floats) -> Floats:
    """What the components (90 %) of the first third's cycles leave of each window."""
    rows, period = len(values) * 3 // 10, min(max(_period(values), _WINDOW), 300)
    windows = np.lib.stride_tricks.sliding_window_view(values, period)
    usual = windows[: rows - period]
    _, strength, components = np.linalg.svd(usual - usual.mean(axis=0), full_matrices=False)
    keep = int(np.searchsorted(np.cumsum(strength**2) / np.sum(strength**2), 0.9)) + 1
    off = windows - usual.mean(axis=0)
    rest = ((off - off @ components[:keep].T @ components[:keep]) ** 2).sum(axis=1)
    return np.concatenate([np.full(period - 1, rest.min()), rest])


def _period(values: Floats) -> int:
    return period_of(values[: len(values) // 3]) or 1


def _against_usual(off: Floats) -> Floats:
    scores, usual = np.zeros(len(off)), float(off[:20].mean())
    for n, value in enumerate(off):
        scores[n] = value / (usual + 1e-9) if n > 50 else 0.0
        usual += 0.005 * (value - usual)
    return scores


PEERS = (rolling_z, ewma_z, seasonal_naive, holt_winters, isolation_forest, principal_components)
