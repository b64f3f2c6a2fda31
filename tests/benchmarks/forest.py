"""The isolation forest on a batch, against scikit-learn's ``score_samples``; one core, the same fitted trees."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detectors.forest import isolation_forest as forest
from detectors.forest.features import FEATURES
from detectors.forest.walk import compiled_walk, walk
from tests.benchmarks.clocked import best_of, rates

ROWS, EXAMPLES, TREES = 100_000, 4096, 100


def main(words: list[str]) -> None:
    """Measure and print."""
    rows = int(words[0]) if words else ROWS
    draw = np.random.default_rng(0)
    examples = draw.standard_t(3, (EXAMPLES, len(FEATURES))).astype(np.float32)
    batch = draw.standard_t(3, (rows, len(FEATURES))).astype(np.float32)
    theirs = IsolationForest(n_estimators=TREES, random_state=0, n_jobs=1).fit(examples)
    ours = forest.fit(examples, TREES, seed=0)
    peer_seconds, expected = best_of(3, lambda: -theirs.score_samples(batch))
    plain_seconds, plain = best_of(3, lambda: _plain(ours, batch))
    table = [("NumPy", rows, plain_seconds), ("scikit-learn", rows, peer_seconds)]
    off = float(np.abs(plain - expected).max())
    if compiled_walk() is not None:
        forest.score(ours, batch[: forest.COMPILE_FROM_ROWS])
        seconds, compiled = best_of(3, lambda: forest.score(ours, batch))
        off = max(off, float(np.abs(compiled - expected).max()))
        table.insert(0, ("compiled", rows, seconds))
    sys.stdout.write(f"{rows:,} rows of {len(FEATURES)} features, {TREES} trees; largest difference {off:.1g}\n\n")
    sys.stdout.write(rates(table, "rows") + "\n\n")


def _plain(grown: forest.Forest, batch: NDArray[np.float32]) -> NDArray[np.float64]:
    """As :func:`detectors.forest.isolation_forest.score`, never compiled."""
    total = np.zeros(len(batch))
    walk(batch, grown.feature, grown.threshold, grown.length, total)
    return np.asarray(2.0 ** (-total / (len(grown.feature) * grown.usual_length)), np.float64)
