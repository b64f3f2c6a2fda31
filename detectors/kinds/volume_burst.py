"""Dollars a minute far above anything that the week has shown.

Catches: loops, leaked keys, batches, storms: whatever multiplies volume. Misses: volume inside the week's
range. Real traffic bursts by itself, so the bar is high and only much money passes it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from detectors.baselines import C_VOLUME
from detectors.clock import MINUTES_PER_DAY
from detectors.drivers import REQUESTS
from detectors.verdicts import Detector, Seen, Verdicts, judge


class VolumeBurst(Detector, frozen=True, kw_only=True):
    """Logarithm of dollars a minute over the highest of the week."""

    kind: ClassVar[str] = "volume_burst"
    threshold: Annotated[float, Meta(gt=0)] = 1.5
    natural_per_week: Annotated[float, Meta(gt=0)] = 2.0
    tail: Annotated[float, Meta(gt=0)] = 0.5
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.3
    least_excess_usd: Annotated[float, Meta(ge=0)] = 10.0

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        only = slice(C_VOLUME, C_VOLUME + 1)
        excess, hourly = seen.excess_usd[:, :, only], seen.excess_usd_per_hour[:, :, only]
        warming = r.age_minutes < 2 * MINUTES_PER_DAY
        gate = (excess > self.least_excess_usd) & ~warming[:, None, None]
        score = np.maximum(r.above[:, :, only], 0.0)
        return None, judge(score, gate, warming, self.threshold, np.array([REQUESTS]), excess, hourly)
