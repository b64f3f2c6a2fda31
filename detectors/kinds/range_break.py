"""A driver above all that the week before has shown.

Catches: a driver that left its range with no deployment to blame. Misses: what stays inside the week's range,
and services younger than two days.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from detectors.baselines import C_UNIT, C_VOLUME
from detectors.clock import MINUTES_PER_DAY
from detectors.verdicts import DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, judge


class RangeBreak(Detector, frozen=True, kw_only=True):
    """By how much a driver is above its highest of the week, in units of what days differ by."""

    kind: ClassVar[str] = "range_break"
    threshold: Annotated[float, Meta(gt=0)] = 4.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 1.0
    tail: Annotated[float, Meta(gt=0)] = 1.5
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.3
    day_to_day: Annotated[float, Meta(gt=0)] = 0.15
    least_step_z: Annotated[float, Meta(ge=0)] = 3.0
    least_excess_usd: Annotated[float, Meta(ge=0)] = 1.0
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 2.0

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        drivers = slice(0, C_VOLUME)
        excess, hourly = seen.excess_usd[:, :, drivers], seen.excess_usd_per_hour[:, :, drivers]
        above = r.above[:, :, drivers]
        gate = (above > 0) & (r.step_z > self.least_step_z)
        gate &= (excess > self.least_excess_usd) & (hourly > self.least_usd_per_hour)
        gate[:, :, C_UNIT] = False  # the unit price has a detector of its own
        warming = r.age_minutes < 2 * MINUTES_PER_DAY
        gate &= ~warming[:, None, None] & (seen.view_size == 1)[:, None, None]
        score = np.maximum(above, 0.0) / self.day_to_day
        return None, judge(score, gate, warming, self.threshold, DRIVER_OF_CHANNEL, excess, hourly)
