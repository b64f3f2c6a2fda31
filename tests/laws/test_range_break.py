"""What a driver above its week must come to before ``range_break`` tells of it."""

from __future__ import annotations

import pytest

from detectors.kinds.range_break import RangeBreak
from tests.laws.streams import Service, plan, run, stream

TWO_DAYS_AND_SOME = 50
SHORT_PROMPTS = Service("bot", "support", ("key-1",), 400_000, 20, 120, incident={"input_tokens": 4.0})
"""Four times the prompt is hardly dearer: nearly all of a request's cost is its answer."""
LONG_PROMPTS = Service("bot", "support", ("key-1",), 400_000, 900, 120, incident={"input_tokens": 4.0})


@pytest.mark.parametrize(
    ("service", "least_excess_share", "is_told"),
    [(SHORT_PROMPTS, 0.2, False), (SHORT_PROMPTS, 0.0, True), (LONG_PROMPTS, 0.2, True)],
)
def test_a_driver_above_its_week_is_told_of_if_it_bears_upon_the_cost(
    service: Service, least_excess_share: float, *, is_told: bool
) -> None:
    detector = RangeBreak(least_excess_share=least_excess_share)
    days = stream(services=(service,), hours=TWO_DAYS_AND_SOME + 4, onset_hour=TWO_DAYS_AND_SOME)
    told = {alert.cause.driver for alert in run(days, plan(detectors=(detector,))).alerts}
    assert told == ({"input_per_request"} if is_told else set())
