"""An isolation forest as flat columns: fitted by scikit-learn, scored here, kept as a state.

Liu, Ting and Zhou, *Isolation Forest*, ICDM 2008. Scores equal those of scikit-learn's ``score_samples``, with
the sign turned: the higher the odder, in (0, 1].
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

_LEAF = -2


class Forest(msgspec.Struct, frozen=True):
    """Trees as columns, a node a column: all trees side by side, children by place."""

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    length: NDArray[np.float64]
    """Depth of a leaf and the mean path below it; 0 for other nodes."""
    roots: NDArray[np.int32]
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
    grown = IsolationForest(n_estimators=trees, max_samples="auto", random_state=seed).fit(rows)
    parts = [_flatten(tree.tree_, np.asarray(used)) for tree, used in
             zip(grown.estimators_, grown.estimators_features_, strict=True)]  # fmt: skip
    starts = np.cumsum([0, *(len(p[0]) for p in parts[:-1])])
    columns = [np.concatenate(c) for c in zip(*(
        (p[0], p[1], p[2] + start, p[3] + start, p[4]) for p, start in zip(parts, starts, strict=True)), strict=True)]  # fmt: skip
    return Forest(
        columns[0].astype(np.int32), columns[1], columns[2].astype(np.int32), columns[3].astype(np.int32), columns[4],
        starts.astype(np.int32), max(p[5] for p in parts), float(mean_path(np.array([grown.max_samples_]))[0]),
    )  # fmt: skip


def score(forest: Forest, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """How odd each row is, shape (rows,): all trees at once, level by level.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
    >>> grown = fit(rows, trees=50, seed=0)
    >>> usual, odd = score(grown, np.array([[0, 0], [6, -6]], np.float32))
    >>> bool(odd > usual)
    True
    """
    if not len(rows):
        return np.zeros(0)
    node = np.broadcast_to(forest.roots, (len(rows), len(forest.roots))).copy()
    at = np.arange(len(rows))[:, None]
    for _ in range(forest.depth):
        goes_left = rows[at, forest.feature[node]] <= forest.threshold[node]
        node = np.where(goes_left, forest.left[node], forest.right[node])
    mean = forest.length[node].mean(axis=1)
    return np.asarray(2.0 ** (-mean / forest.usual_length), np.float64)


def mean_path(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean length of a failed search among so many points: c(n) of the paper."""
    n = np.maximum(points, 2).astype(float)
    long = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(points <= 1, 0.0, np.where(points == 2, 1.0, long))


Flat = tuple[
    NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int
]


def _flatten(tree: object, used: NDArray[np.int64]) -> Flat:
    """One tree's columns; a leaf leads to itself, so that every row may walk as deep as the deepest."""
    feature, left, right = (np.array(getattr(tree, name)) for name in ("feature", "children_left", "children_right"))
    leaf = feature == _LEAF
    here = np.arange(len(feature))
    depth = np.zeros(len(feature))
    for node in np.flatnonzero(~leaf):
        depth[[left[node], right[node]]] = depth[node] + 1
    points = np.array(getattr(tree, "n_node_samples"))  # noqa: B009 — the tree is a compiled, untyped object
    length = np.where(leaf, depth + mean_path(points), 0.0)
    return (
        np.where(leaf, 0, used[np.where(leaf, 0, feature)]), np.array(getattr(tree, "threshold")),  # noqa: B009 — as above
        np.where(leaf, here, left), np.where(leaf, here, right), length, int(depth.max()),
    )  # fmt: skip
