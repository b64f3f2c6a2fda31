"""Which odd rows of one metric page, when so many pages a period are wanted."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.one_metric.page_promise import Promise, start, step

ONE_IN_A_THOUSAND = Promise(pages=1, period_rows=1000, quiet_rows=12)


def paged(*odd: tuple[int, float, float], rows: int = 3000) -> list[int]:
    """Which rows page, given row, score and p-value of those that are odd."""
    scores, p_values = np.full(rows, 0.1), np.ones(rows)
    for row, score, p_value in odd:
        scores[row], p_values[row] = score, p_value
    return np.flatnonzero(step(start(), ONE_IN_A_THOUSAND, scores, p_values)[1]).tolist()


def test_a_row_that_comes_oftener_than_pages_are_wanted_does_not_page() -> None:
    assert paged((100, 0.9, 2e-3)) == []


def test_rows_near_each_other_page_once_and_the_next_period_has_pages_of_its_own() -> None:
    assert paged((100, 0.8, 1e-4), (112, 0.9, 1e-6), (1100, 0.8, 1e-4)) == [100, 1100]


@pytest.mark.parametrize(
    ("score", "p_value", "pages"),
    [
        pytest.param(0.9, 1e-6, True, id="odder than all, and far rarer than need be"),
        pytest.param(0.9, 5e-4, False, id="odder than all, and no rarer than need be"),
        pytest.param(0.7, 1e-6, False, id="less odd than what has paged"),
    ],
)
def test_once_the_pages_are_spent_only_the_extraordinary_pages(score: float, p_value: float, pages: bool) -> None:
    assert paged((100, 0.8, 1e-4), (500, score, p_value)) == ([100, 500] if pages else [100])
