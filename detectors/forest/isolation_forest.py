"""An isolation forest as flat columns: fitted by scikit-learn, scored here, kept as a state.

Liu, Ting and Zhou, *Isolation Forest*, ICDM 2008. Scores equal those of scikit-learn's ``score_samples``, with
the sign turned: the higher the odder, in (0, 1].

Every tree is written out as a full one of the same depth (a branch that ended goes left to the bottom), so that a row's
way needs no pointers: below node n stand 2n + 1 and 2n + 2. Where numba is installed, large
batches walk compiled; the lengths are summed in the same order, so that the answer is the same to the bit.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.forest.walk import compiled_walk, walk, walk_few

_LEAF = -1
FEW_ROWS = 256
COMPILE_FROM_ROWS = 4096
"""Smaller batches are not worth compiling for: it takes a second, once a process."""


class Forest(msgspec.Struct, frozen=True):
    """Full trees side by side."""

    feature: NDArray[np.int32]
    """What each node looks at, shape (trees, 2**depth - 1)."""
    threshold: NDArray[np.float32]
    """A row goes right above it, same shape; infinite where the branch has ended."""
    length: NDArray[np.float64]
    """Depth at which a branch ended and the mean path below, shape (trees, 2**depth)."""
    depth: int
    usual_length: float
    """Mean path of a point in as many as a tree was grown from."""


def fit(rows: NDArray[np.float32], trees: int, seed: int) -> Forest:
    """Grow a forest.

    Parameters
    ----------
    rows
        Examples of the usual, shape (rows, features).
    trees
        How many trees.
    seed
        The same seed and rows give the same forest.
    """
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 — a second that only those pay who grow one

    grown = IsolationForest(n_estimators=trees, max_samples="auto", random_state=seed).fit(rows)
    depth = max(tree.tree_.max_depth for tree in grown.estimators_)
    pairs = zip(grown.estimators_, grown.estimators_features_, strict=True)
    full = [_written_out(tree.tree_, np.asarray(used), depth) for tree, used in pairs]
    feature, threshold, length = (np.stack(columns) for columns in zip(*full, strict=True))
    return Forest(feature, threshold, length, depth, float(mean_path(np.array([grown.max_samples_]))[0]))


def score(forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """How odd each row is, shape (rows,).

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
    >>> grown = fit(rows, trees=50, seed=0)
    >>> usual, odd = score(grown, np.array([[0, 0], [6, -6]], np.float32))
    >>> bool(odd > usual)
    True
    """
    total = np.zeros(len(rows))
    few = walk_few if len(rows) <= FEW_ROWS else walk
    on = (compiled_walk() if len(rows) >= COMPILE_FROM_ROWS else None) or few
    on(np.ascontiguousarray(rows, np.float32), forest.feature, forest.threshold, forest.length, total)
    return np.asarray(2.0 ** (-total / (len(forest.feature) * forest.usual_length)), np.float64)


def mean_path(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean length of a failed search among so many points: c(n) of the paper."""
    n = np.maximum(points, 2).astype(float)
    long = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(points <= 1, 0.0, np.where(points == 2, 1.0, long))


def _written_out(
    tree: Any,  # noqa: ANN401 — scikit-learn's trees are compiled, untyped
    used: NDArray[np.int64],
    depth: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]:
    """One tree as a full one: features, thresholds, lengths."""
    node, ended_at = np.zeros(1, np.int64), np.zeros(1)
    features, thresholds = [], []
    for level in range(depth):
        left, right = np.asarray(tree.children_left)[node], np.asarray(tree.children_right)[node]
        leaf = left == _LEAF
        features.append(used[np.where(leaf, 0, np.asarray(tree.feature)[node])].astype(np.int32))
        thresholds.append(np.where(leaf, np.float32(np.inf), _rounded_down(np.asarray(tree.threshold)[node])))
        node = np.stack([np.where(leaf, node, left), np.where(leaf, node, right)], axis=1).ravel()
        ended_at = np.repeat(np.where(leaf, ended_at, level + 1.0), 2)
    length = ended_at + mean_path(np.asarray(tree.n_node_samples)[node])
    if not depth:  # all examples were alike
        return np.zeros(0, np.int32), np.zeros(0, np.float32), length
    return np.concatenate(features), np.concatenate(thresholds), length


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 up to each: a float32 is above the one exactly when it is above the other."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)
