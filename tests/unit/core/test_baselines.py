"""Baselines: small, and the same however many minutes are taken at once."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.baselines import ActiveMinute, Baselines, BaselineState, Late, Residuals

SERIES = 6


def minutes(how_many: int) -> list[ActiveMinute]:
    """Minutes in which some of six series are active; the second to fourth are parts of the first."""
    luck = np.random.default_rng(0)
    made = []
    for minute in range(how_many):
        chosen = np.flatnonzero(luck.random(SERIES) < 0.7)
        series = np.union1d([0], chosen).astype(np.int32)
        totals = luck.gamma(2.0, 5.0, (len(series), 11))
        whole = np.where(series < 4, 0, np.arange(len(series)))
        nothing = Late(np.zeros(0, np.intp), np.zeros(0, np.int32), np.zeros((0, 11)))
        made.append(ActiveMinute(1_000_000 + 7 * minute, series, totals, nothing, whole))
    return made


def taken(batches: list[list[ActiveMinute]]) -> tuple[BaselineState, list[Residuals]]:
    baselines = Baselines()
    state, said = baselines.start(), []
    for batch in batches:
        state, residuals = baselines.step(state, batch)
        said.append(residuals)
    return state, said


def test_minutes_taken_at_once_are_as_minutes_taken_one_by_one() -> None:
    made = minutes(400)
    at_once, one_by_one = taken([made]), taken([[minute] for minute in made])
    assert codec.encode(at_once[0]) == codec.encode(one_by_one[0])
    for name in ("sums", "base", "step_z", "above", "usual_usd_per_minute", "age_minutes"):
        rows = np.concatenate([getattr(residuals, name) for residuals in one_by_one[1]])
        assert np.array_equal(getattr(at_once[1][0], name), rows)


def test_a_series_takes_under_two_kilobytes() -> None:
    state, _ = taken([minutes(1)])
    rooms = len(state.first)
    assert bytes_of(state) / rooms < 2048


def bytes_of(columns: msgspec.Struct) -> int:
    parts: list[NDArray[np.float64] | msgspec.Struct] = [getattr(columns, name) for name in columns.__struct_fields__]
    return sum(part.nbytes if isinstance(part, np.ndarray) else bytes_of(part) for part in parts)
