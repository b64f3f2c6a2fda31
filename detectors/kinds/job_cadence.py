"""A scheduled job that runs far more often than its cadence.

Catches: a job whose hours cost the same for days and now cost a multiple: a schedule read in minutes for hours.
Misses: principals whose hours were never even.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import HORIZONS_MINUTES
from detectors.baselines.drivers import REQUESTS
from detectors.clock import MINUTES_PER_DAY
from detectors.minutes.series import PRINCIPAL
from detectors.minutes.totals import GPU, PAID
from detectors.verdicts import Detector, Seen, Verdicts, judge

_KNOWN_MINUTES = 3 * MINUTES_PER_DAY


class JobCadence(Detector, frozen=True, kw_only=True):
    """Dollars of the last hours over the dearest four hours of the last three days, where those are even."""

    kind: ClassVar[str] = "job_cadence"
    roles: ClassVar[tuple[int, ...]] = (PRINCIPAL,)
    about_principals: ClassVar[bool] = True
    names_its_driver: ClassVar[bool] = True
    blames_deployments: ClassVar[bool] = False
    threshold: Annotated[float, Meta(gt=0)] = 3.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.05
    tail: Annotated[float, Meta(gt=0)] = 1.5
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.02
    most_active_share: Annotated[float, Meta(gt=0, le=1)] = 0.2
    least_evenness: Annotated[float, Meta(gt=0, lt=1)] = 0.4
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.15

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Principals three days old that rest most of the time."""
        r = seen.residuals
        rests = (r.active_minutes < self.most_active_share * r.age_minutes) & (r.age_minutes >= _KNOWN_MINUTES)
        return np.asarray(rests & (seen.role == PRINCIPAL), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        most, least = r.rhythm.cadence_most_usd[:, None, None], r.rhythm.cadence_least_usd[:, None, None]
        spent = (r.sums[:, :, PAID] + r.sums[:, :, GPU])[:, :, None]
        excess = np.maximum(spent - most, 0.0)
        even = least > self.least_evenness * most
        lately = r.usd_per_minute[:, : HORIZONS_MINUTES.index(60) + 1].max(axis=1)[:, None, None] * 60
        hourly = np.broadcast_to(lately - most / 4, spent.shape)
        warming = r.age_minutes < _KNOWN_MINUTES
        gate = even & self.may_speak(seen)[:, None, None] & (excess > self.least_excess_usd)
        score = spent / np.maximum(most, 1e-9)
        return None, judge(score, gate, warming, self.threshold, np.array([REQUESTS]), excess, np.maximum(hourly, 0.0))
