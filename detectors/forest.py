"""An isolation forest as flat columns: fitted by scikit-learn, scored here, kept as a state.

Liu, Ting and Zhou, *Isolation Forest*, ICDM 2008. Scores equal those of scikit-learn's ``score_samples``, with
the sign turned: the higher the odder, in (0, 1].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

_LEAF = -2


class Forest(msgspec.Struct, frozen=True):
    """Trees as columns, a node a column: all trees side by side, children by place."""

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    children: NDArray[np.int32]
    """Left and right, shape (2, nodes)."""
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
    pairs = zip(grown.estimators_, grown.estimators_features_, strict=True)
    parts = [_flatten(tree.tree_, np.asarray(used)) for tree, used in pairs]
    starts = np.cumsum([0, *(len(part.feature) for part in parts[:-1])])
    placed = zip(parts, starts, strict=True)
    return Forest(
        feature=np.concatenate([part.feature for part in parts]).astype(np.int32),
        threshold=np.concatenate([part.threshold for part in parts]),
        children=np.concatenate([part.children + start for part, start in placed], axis=1).astype(np.int32),
        length=np.concatenate([part.length for part in parts]),
        roots=starts.astype(np.int32),
        depth=max(part.depth for part in parts),
        usual_length=float(mean_path(np.array([grown.max_samples_]))[0]),
    )


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
        goes_right = rows[at, forest.feature[node]] > forest.threshold[node]
        node = forest.children[goes_right.astype(np.int8), node]
    mean = forest.length[node].mean(axis=1)
    return np.asarray(2.0 ** (-mean / forest.usual_length), np.float64)


def mean_path(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean length of a failed search among so many points: c(n) of the paper."""
    n = np.maximum(points, 2).astype(float)
    long = 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
    return np.where(points <= 1, 0.0, np.where(points == 2, 1.0, long))


class _Tree(NamedTuple):
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    children: NDArray[np.int64]
    length: NDArray[np.float64]
    depth: int


def _flatten(tree: Any, used: NDArray[np.int64]) -> _Tree:  # noqa: ANN401 — scikit-learn's trees are compiled, untyped
    """One tree's columns; a leaf leads to itself, so that every row may walk as deep as the deepest."""
    feature, children = np.array(tree.feature), np.stack([tree.children_left, tree.children_right])
    leaf = feature == _LEAF
    depth = np.zeros(len(feature))
    for node in np.flatnonzero(~leaf):  # a parent stands before its children
        depth[children[:, node]] = depth[node] + 1
    length = np.where(leaf, depth + mean_path(np.array(tree.n_node_samples)), 0.0)
    children = np.where(leaf, np.arange(len(feature)), children)
    split_on = used[np.where(leaf, 0, feature)]
    return _Tree(split_on, np.array(tree.threshold), children, length, int(depth.max()))
