"""A driver that jumped above all that the week before has shown.

Catches: a driver that left its range with no deployment to blame. Misses: what stays inside the week's range, what
drifts out of it, what makes a service hardly dearer, and services younger than two days. Either sign alone is
common: drivers drift to new heights, and jump to where they have been.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_SHARE
from detectors.baselines.residuals import SETTLED_MINUTES
from detectors.minutes.series import PRINCIPAL, SERVICE
from detectors.minutes.totals import PAID
from detectors.verdicts import DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, judge

_DRIVERS = slice(0, C_SHARE)


class RangeBreak(Detector, frozen=True, kw_only=True):
    """How far a driver is above its highest of the week, and how loud a step took it there: their geometric mean.

    Each is in spreads: the height in what hours differ by, the step in what steps usually are; both in units of what is
    equally rare for each driver.
    """

    kind: ClassVar[str] = "range_break"
    roles: ClassVar[tuple[int, ...]] = (SERVICE, PRINCIPAL)
    threshold: Annotated[float, Meta(gt=0)] = 1.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 2.2
    tail: Annotated[float, Meta(gt=0)] = 0.4
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.26
    least_spread: Annotated[float, Meta(gt=0)] = 0.15
    least_step_z: Annotated[float, Meta(ge=0)] = 3.0
    least_excess_usd: Annotated[float, Meta(ge=0)] = 1.0
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8
    least_excess_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    rare_input: Annotated[float, Meta(gt=0)] = 5.4
    rare_output: Annotated[float, Meta(gt=0)] = 2.9
    rare_cache: Annotated[float, Meta(gt=0)] = 3.2
    rare_mix: Annotated[float, Meta(gt=0)] = 5.7

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Services and principals with a driver above the week's highest."""
        judged = (seen.role == SERVICE) | (seen.role == PRINCIPAL)
        return np.asarray(judged & (seen.residuals.above[:, :, _DRIVERS] > 0).any(axis=(1, 2)), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        excess, hourly = seen.excess_usd[:, :, _DRIVERS], seen.excess_usd_per_hour[:, :, _DRIVERS]
        above = r.above[:, :, _DRIVERS]
        gate = (above > 0) & (r.step_z[:, :, _DRIVERS] > self.least_step_z)
        gate &= (excess > self.least_excess_usd) & (hourly > self.least_usd_per_hour)
        gate &= excess > self.least_excess_share * r.sums[:, :, [PAID]]
        warming = seen.parts.whole_age_minutes < SETTLED_MINUTES
        gate &= (((seen.role == SERVICE) | (seen.role == PRINCIPAL)) & ~warming)[:, None, None]
        spread = np.sqrt(r.scale[:, -1:, _DRIVERS] ** 2 + self.least_spread**2)
        rare = (self.rare_input, self.rare_output, self.rare_cache, self.rare_mix)
        score = np.sqrt(np.maximum(above, 0.0) / spread * np.maximum(r.step_z[:, :, _DRIVERS], 0.0)) / rare
        return None, judge(score, gate, warming, self.threshold, DRIVER_OF_CHANNEL, excess, hourly)
