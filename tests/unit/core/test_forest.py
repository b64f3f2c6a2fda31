"""The forest's scores are scikit-learn's, whichever way the rows walk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from detectors.forest import isolation_forest as forest
from detectors.forest.walk import _walk_by_row, compiled_walk, walk, walk_few

Rows = NDArray[np.float32]


def drawn(rows: int, features: int, seed: int, steps: float = 0.0) -> Rows:
    values = np.random.default_rng(seed).normal(size=(rows, features))
    return (np.round(values / steps) * steps if steps else values).astype(np.float32)


def lengths_by(on: object, grown: forest.Forest, rows: Rows) -> NDArray[np.float64]:
    total = np.zeros(len(rows))
    assert callable(on)
    on(rows, grown.feature, grown.threshold, grown.length, total)
    return total


@given(
    seed=st.integers(0, 99),
    features=st.integers(1, 20),
    examples=st.integers(2, 400),
    steps=st.sampled_from([0.0, 0.25, 1.0]),
)
@settings(max_examples=25, deadline=None)
def test_scores_equal_those_of_scikit_learn(seed: int, features: int, examples: int, steps: float) -> None:
    """Rows in steps lie on thresholds' very edges and repeat."""
    usual, rows = drawn(examples, features, seed, steps), drawn(300, features, seed + 1, steps) * 2
    theirs = -IsolationForest(n_estimators=20, random_state=seed).fit(usual).score_samples(rows)
    np.testing.assert_allclose(forest.score(forest.fit(usual, 20, seed), rows), theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 9000])
def test_compiled_and_plain_walks_agree_to_the_bit(rows: int) -> None:
    grown, batch = forest.fit(drawn(600, 8, 1), trees=30, seed=1), drawn(rows, 8, 2)
    compiled = compiled_walk()
    assert compiled is not None, "numba is a dependency"
    np.testing.assert_array_equal(lengths_by(compiled, grown, batch), lengths_by(walk, grown, batch))


@pytest.mark.parametrize("rows", [0, 1, 2, 255])
def test_few_rows_down_all_trees_at_once_get_the_same_to_the_bit(rows: int) -> None:
    grown, batch = forest.fit(drawn(600, 8, 1), trees=100, seed=1), drawn(rows, 8, 2)
    batch[::2, 1] = np.nan
    np.testing.assert_array_equal(lengths_by(walk_few, grown, batch), lengths_by(walk, grown, batch))


def test_what_is_compiled_does_the_same_uncompiled() -> None:
    grown, batch = forest.fit(drawn(300, 3, 1), trees=3, seed=1), drawn(300, 3, 2)
    np.testing.assert_array_equal(lengths_by(_walk_by_row, grown, batch), lengths_by(walk, grown, batch))


def test_a_forest_of_like_examples_has_one_leaf() -> None:
    grown = forest.fit(np.ones((300, 4), np.float32), trees=5, seed=0)
    scores = forest.score(grown, drawn(5000, 4, 0))
    assert (scores == scores[0]).all()


def test_what_is_no_number_goes_left_in_every_walk() -> None:
    grown, batch = forest.fit(drawn(300, 4, 1), trees=10, seed=1), drawn(50, 4, 2)
    batch[::3, 1] = np.nan
    batch[1::3, 2] = np.inf
    plain = lengths_by(walk, grown, batch)
    assert np.isfinite(plain).all()
    np.testing.assert_array_equal(lengths_by(compiled_walk(), grown, batch), plain)
