"""Warming up: machine code is loaded from disk when it is first called, which takes half a second in all."""

from __future__ import annotations

from detectors.prices import PriceTable
from detectors.raw import RawMessage
from streams.app import Plan, build_stages
from streams.pipeline import Pipeline

_EVENT = (
    b'{"id":"%d","time":"2025-10-01T%02d:00:00Z","source":"warm-up","service":"warm-up","model":"none","requests":1}'
)


def warm_up(plan: Plan, prices: PriceTable) -> None:
    """Load what the stages of a plan (for one raw partition) call, so that no real message waits for it."""
    pipeline = Pipeline(build_stages(plan, prices))
    for hour in range(2):  # the second closes the minute of the first; of a single row, columns have another layout
        pipeline.feed([RawMessage("usage", 0, 2 * hour + n, _EVENT % (n, hour)) for n in range(2)])
