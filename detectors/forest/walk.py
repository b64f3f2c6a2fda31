"""Rows on their way down full trees: in NumPy, and compiled where numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Walk = Callable[
    [NDArray[np.float32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]], None
]
_BLOCK = 16384
_COMPILED_BLOCK = 128
"""Rows whose columns fit the fastest cache beside a tree."""


def walk(
    rows: NDArray[np.float32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    length: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Add to each row's total the lengths of its ways, tree after tree.

    Parameters
    ----------
    rows
        Shape (rows, features), contiguous.
    feature, threshold, length
        Full trees, shapes (trees, nodes), the same, and (trees, nodes + 1): below node n stand 2n + 1 and 2n + 2.
    total
        Shape (rows,); added to.
    """
    nodes = feature.shape[1]
    depth = nodes.bit_length()
    for start in range(0, len(rows), _BLOCK):
        columns = np.ascontiguousarray(rows[start : start + _BLOCK].T)
        flat, block = columns.ravel(), columns.shape[1]
        here, at = np.arange(block), total[start : start + block]
        for tree in range(len(feature)):
            offset, limit = feature[tree].astype(np.intp) * block, threshold[tree]
            node = np.zeros(block, np.intp)
            for level in range(depth):
                value = columns[feature[tree, 0]] if level == 0 else flat.take(offset.take(node) + here)
                right = value > (limit[0] if level == 0 else limit.take(node))
                node += node
                node += right
                node += 1
            at += length[tree].take(node - nodes)


def walk_few(
    rows: NDArray[np.float32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    length: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """As :func:`walk`, down all trees side by side: for few rows, where it is the number of steps that costs."""
    trees, nodes = feature.shape
    row = np.arange(len(rows))
    root, node = np.arange(trees)[:, None] * nodes, np.zeros((trees, len(rows)), np.intp)
    for _ in range(nodes.bit_length()):
        here = root + node
        right = rows[row, feature.take(here)] > threshold.take(here)
        node = 2 * node + 1 + right
    ends = length.take(node - nodes + np.arange(trees)[:, None] * (nodes + 1))
    total += np.cumsum(ends, axis=0)[-1]  # one after the other, so that the sum is the same to the bit


@cache
def compiled_walk() -> Walk | None:
    """Return the same, compiled; None where there is no numba."""
    try:
        from numba import njit  # noqa: PLC0415 — half a second and 60 MB that small batches need not pay
    except ImportError:
        return None
    compiled: Walk = njit(nogil=True)(_walk_by_row)
    return compiled


def _walk_by_row(
    rows: NDArray[np.float32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    length: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """As :func:`walk`, in loops for a compiler: unsigned indices, so that it need not look for negative ones."""
    count, features, trees = np.uint64(rows.shape[0]), np.uint64(rows.shape[1]), feature.shape[0]
    nodes, one, most = np.uint32(feature.shape[1]), np.uint32(1), np.uint64(_COMPILED_BLOCK)
    depth = 0
    while (1 << depth) - 1 < feature.shape[1]:
        depth += 1
    node = np.empty(_COMPILED_BLOCK, np.uint32)
    columns = np.empty(rows.shape[1] * _COMPILED_BLOCK, np.float32)
    for start in range(np.uint64(0), count, most):
        block = min(most, count - start)
        for row in range(block):
            for column in range(features):
                columns[column * most + row] = rows[start + row, column]
        for tree in range(trees):
            looks_at, limit, way = feature[tree], threshold[tree], length[tree]
            for row in range(block):
                node[row] = 0
            for _ in range(depth):
                for row in range(block):
                    now = node[row]
                    value = columns[np.uint32(looks_at[now]) * np.uint32(_COMPILED_BLOCK) + np.uint32(row)]
                    node[row] = now + now + one + np.uint32(value > limit[now])
            for row in range(block):
                total[start + row] += way[node[row] - nodes]
