"""Dollars a minute far above anything that the week has shown, where volume means something.

Real traffic bursts by itself, so on a service with one model the bar is as high as loops, leaked keys and
batches take it. A model that joined a service later than its first, and a service with several models, are
calmer: the bar is lower there. Misses: volume inside the week's range, and series younger than two days.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_VOLUME, HORIZONS_MINUTES
from detectors.baselines.drivers import REQUESTS
from detectors.clock import MINUTES_PER_DAY
from detectors.minutes.series import MODEL, OTHER, PRINCIPAL, SERVICE
from detectors.verdicts import Detector, Seen, Verdicts, judge

_VOLUME = slice(C_VOLUME, C_VOLUME + 1)


class VolumeBurst(Detector, frozen=True, kw_only=True):
    """Logarithm of dollars a minute over the highest of the week, in units of what is rare for such a series."""

    kind: ClassVar[str] = "volume_burst"
    threshold: Annotated[float, Meta(gt=0)] = 1.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 2.2
    tail: Annotated[float, Meta(gt=0)] = 0.4
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.06
    least_excess_usd: Annotated[float, Meta(ge=0)] = 10.0
    rare_ratio: Annotated[float, Meta(gt=0)] = 4.5
    rare_ratio_of_several_models: Annotated[float, Meta(gt=0)] = 1.2
    rare_ratio_of_later_model: Annotated[float, Meta(gt=0)] = 1.0

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Rows whose dollars are above the week's highest."""
        return np.asarray((seen.residuals.above[:, :, _VOLUME] > 0).any(axis=(1, 2)), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r, role = seen.residuals, seen.role
        excess, hourly = seen.excess_usd[:, :, _VOLUME], seen.excess_usd_per_hour[:, :, _VOLUME]
        above = np.maximum(r.above[:, :, _VOLUME], 0.0)
        over_week = (r.usd_per_minute * HORIZONS_MINUTES)[:, :, None] * (1 - np.exp(-above))
        warming = r.age_minutes < 2 * MINUTES_PER_DAY
        several = ((role == SERVICE) | (role == PRINCIPAL)) & (seen.parts.models > 1)
        later = (role == MODEL) & (seen.parts.joined_minutes > 0)
        rare = np.where(several, self.rare_ratio_of_several_models, self.rare_ratio)
        rare = np.where(later, self.rare_ratio_of_later_model, rare)
        judged = (role == SERVICE) | (role == OTHER) | several | later
        gate = (over_week > self.least_excess_usd) & (judged & ~warming)[:, None, None]
        score = above / rare[:, None, None]
        return None, judge(score, gate, warming, self.threshold, np.array([REQUESTS]), excess, hourly)
