"""A driver that stepped up after a deployment.

Catches: a prompt, an answer, a cache or a model mix that changed with a deployment: within minutes, since a
driver is calm where dollars are wild. Misses: changes that no deployment came before (see ``range_break``),
changes within what the week has shown, and changes of volume.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from detectors.baselines import C_SHARE, HORIZONS_MINUTES
from detectors.series import SERVICE
from detectors.verdicts import DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, judge

_DRIVERS = slice(0, C_SHARE)
_LEAST_ABOVE_WEEK = 0.03
_YOUNG_MINUTES = 30


class DriverStep(Detector, frozen=True, kw_only=True):
    """A driver's step over its usual spread, in units of what is equally rare for each driver."""

    kind: ClassVar[str] = "driver_step"
    roles: ClassVar[tuple[int, ...]] = (SERVICE,)
    follows_deployments: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 1.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 2.0
    tail: Annotated[float, Meta(gt=0)] = 0.3
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.22
    within_minutes: Annotated[int, Meta(ge=1)] = 1440
    within_active_minutes: Annotated[int, Meta(ge=1)] = 300
    least_rise: Annotated[float, Meta(gt=0)] = 0.1
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.2
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8
    rare_input: Annotated[float, Meta(gt=0)] = 3.5
    rare_output: Annotated[float, Meta(gt=0)] = 4.5
    rare_cache: Annotated[float, Meta(gt=0)] = 7.0
    rare_mix: Annotated[float, Meta(gt=0)] = 8.0

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        excess, hourly = seen.excess_usd[:, :, _DRIVERS], seen.excess_usd_per_hour[:, :, _DRIVERS]
        since = seen.minutes_since_deployment[:, None]
        after = (since >= 2) & (since <= self.within_minutes) & (np.array(HORIZONS_MINUTES) <= 2 * since + 2)
        after &= (seen.active_minutes_since_deployment <= self.within_active_minutes)[:, None]
        gate = after[:, :, None] & (r.step[:, :, _DRIVERS] > self.least_rise)
        gate &= (r.above[:, :, _DRIVERS] > _LEAST_ABOVE_WEEK) & (excess > self.least_excess_usd)
        gate &= hourly > self.least_usd_per_hour
        warming = r.active_minutes < _YOUNG_MINUTES
        gate &= ((seen.role == SERVICE) & ~warming)[:, None, None]
        score = r.step_z[:, :, _DRIVERS] / (self.rare_input, self.rare_output, self.rare_cache, self.rare_mix)
        return None, judge(score, gate, warming, self.threshold, DRIVER_OF_CHANNEL, excess, hourly)
