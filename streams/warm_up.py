"""Warming up: what is loaded from disk when it is first called, loaded beforehand."""

from __future__ import annotations

import numpy as np

from detectors.forest import isolation_forest as forest
from detectors.intake.prices import PriceTable
from detectors.intake.raw import RawMessage
from streams.app import Plan, build_stages
from streams.pipeline import Pipeline

_EVENT = (
    b'{"id":"%d","time":"2025-10-01T%02d:00:00Z","source":"warm-up","service":"warm-up","model":"none","requests":1}'
)


def warm_up(plan: Plan, prices: PriceTable) -> None:
    """Load the machine code of the stages of a plan (for one raw partition): half a second in all."""
    pipeline = Pipeline(build_stages(plan, prices))
    for hour in range(2):  # the second closes the minute of the first; of a single row, columns have another layout
        pipeline.feed([RawMessage("usage", 0, 2 * hour + n, _EVENT % (n, hour)) for n in range(2)])


def warm_up_growing() -> None:
    """Load what grows an isolation forest: a second, in which no minute is to be judged."""
    forest.fit(np.zeros((2, 1), np.float32), trees=1, seed=0)
