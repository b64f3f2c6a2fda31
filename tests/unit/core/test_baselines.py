"""Baselines: small, and the same however many rows are taken at once, compiled or not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np

from detectors.baselines.baselines import Activity, Baselines, BaselineState, Known
from detectors.baselines.residuals import Residuals, excess_of, residuals_of
from detectors.baselines.rhythm import Rhythm
from detectors.state import codec

SERIES = 6


def minutes(how_many: int) -> list[Activity]:
    """Minutes in which some of six series are active, some with late rows; the first four are one service."""
    luck = np.random.default_rng(0)
    made = []
    for minute in range(how_many):
        series = np.union1d([0], np.flatnonzero(luck.random(SERIES) < 0.7)).astype(np.int32)
        rows = len(series)
        whole = np.where(series < 4, 0, np.arange(rows)).astype(np.int32)
        late = np.flatnonzero(luck.random(rows) < 0.1).astype(np.int32)
        made.append(
            Activity(
                np.full(rows, 1_000_000 + 7 * minute, np.int32), series, whole, luck.gamma(2.0, 5.0, (rows, 11)),
                late, luck.integers(1, 60, len(late)).astype(np.int32), luck.gamma(2.0, 5.0, (len(late), 11)),
            )
        )  # fmt: skip
    return made


def together(some: list[Activity]) -> Activity:
    """Minutes as one batch."""
    firsts = np.cumsum([0, *(len(minute.series) for minute in some)]).astype(np.int32)
    moved = [
        minute._replace(whole=minute.whole + first, late_row=minute.late_row + first)
        for minute, first in zip(some, firsts[:-1], strict=True)
    ]
    whole = moved[0]
    for minute in moved[1:]:
        whole = Activity(
            *(np.concatenate([getattr(some, name) for some in (whole, minute)]) for name in Activity._fields)
        )
    return whole


def taken(batches: list[list[Activity]]) -> tuple[BaselineState, list[tuple[Known, Rhythm, Residuals]]]:
    baselines = Baselines()
    state, said = baselines.start(), []
    for batch in batches:
        state, known, rhythm = baselines.step(state, together(batch), SERIES)
        said.append((known, rhythm, residuals_of(known, rhythm, np.arange(len(known.series)))))
    return state, said


def written(batches: list[list[Activity]]) -> str:
    """A digest of all that comes of some batches, minute by minute."""
    state, said = taken(batches)
    digest = hashlib.sha256(codec.encode(state))
    for known, rhythm, residuals in said:
        for row in range(len(known.series)):
            row_of = [column[row].tobytes() for column in known if column is not known.whole]
            row_of += [getattr(rhythm, name)[row].tobytes() for name in rhythm.__struct_fields__]
            row_of += [getattr(residuals, name)[row].tobytes() for name in ("step_z", "scale", "above")]
            row_of += [excess[0].tobytes() for excess in excess_of(known, np.array([row]))]
            digest.update(b"".join(row_of))
    return digest.hexdigest()


def test_minutes_taken_at_once_are_as_minutes_taken_one_by_one() -> None:
    made = minutes(400)
    one_by_one = written([[minute] for minute in made])
    assert written([made]) == one_by_one
    assert written([made[a:b] for a, b in pairwise([0, 3, 4, 150, 399, 400])]) == one_by_one


def test_rows_are_the_same_to_the_bit_without_a_compiler() -> None:
    program = "from tests.unit.core.test_baselines import *; print(written([minutes(120)]))"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == written([minutes(120)])


def test_a_series_takes_under_two_kilobytes() -> None:
    state, _ = taken([minutes(1)])
    assert bytes_of(state) / len(state.first) < 2000


def bytes_of(columns: tuple[np.ndarray | tuple[np.ndarray, ...], ...]) -> int:
    return sum(part.nbytes if isinstance(part, np.ndarray) else bytes_of(part) for part in columns)
