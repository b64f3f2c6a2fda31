"""A driver that stepped up after a deployment.

Catches: a prompt, an answer, a cache or a model mix that changed with a deployment: within minutes, since a
driver is calm where dollars are wild. Misses: changes that no deployment came before (see ``range_break``),
and changes of volume.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from detectors.baselines import C_MIX, C_VOLUME, HORIZONS_MINUTES
from detectors.verdicts import DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, judge


class DriverStep(Detector, frozen=True, kw_only=True):
    """A z-score of a driver's step, where a deployment came before it."""

    kind: ClassVar[str] = "driver_step"
    threshold: Annotated[float, Meta(gt=0)] = 4.5
    natural_per_week: Annotated[float, Meta(gt=0)] = 1.2
    tail: Annotated[float, Meta(gt=0)] = 1.8
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.6
    within_minutes: Annotated[int, Meta(ge=1)] = 720
    least_rise: Annotated[float, Meta(gt=0)] = 0.15
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.2
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        drivers = slice(0, C_VOLUME)
        excess, hourly = seen.excess_usd[:, :, drivers], seen.excess_usd_per_hour[:, :, drivers]
        since = seen.minutes_since_deployment
        horizon = np.array(HORIZONS_MINUTES)
        after = (since >= 2) & (since <= self.within_minutes)
        gate = (after[:, None] & (horizon <= 2 * since[:, None] + 2))[:, :, None] & (r.step > self.least_rise)
        gate = gate & (r.above[:, :, drivers] > 0.03)
        gate &= (excess > self.least_excess_usd) & (hourly > self.least_usd_per_hour)
        gate &= (seen.view_size == 1)[:, None, None]
        gate[:, :, C_MIX + 1 :] = False  # the unit price has a detector of its own
        warming = r.active_minutes < 30
        gate &= ~warming[:, None, None]
        return None, judge(r.step_z, gate, warming, self.threshold, DRIVER_OF_CHANNEL, excess, hourly)
