"""One principal that sends far more of its service's requests than it ever did, and more than it ever did.

Catches: a client in a loop, a stolen or abused key. A busy day lifts all of a service's principals alike and
moves no share. Misses: services with one principal only, and principals younger than two days.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_SHARE, C_VOLUME, HORIZONS_MINUTES
from detectors.baselines.drivers import REQUESTS
from detectors.clock import MINUTES_PER_DAY
from detectors.minutes.series import PRINCIPAL
from detectors.verdicts import Detector, Seen, Verdicts, judge

_SHARE = slice(C_SHARE, C_SHARE + 1)
_VOLUME = slice(C_VOLUME, C_VOLUME + 1)


class ShareBurst(Detector, frozen=True, kw_only=True):
    """How far a principal's odds are above their highest of the week, over what its hours differ by."""

    kind: ClassVar[str] = "share_burst"
    roles: ClassVar[tuple[int, ...]] = (PRINCIPAL,)
    about_principals: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 1.5
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.1
    tail: Annotated[float, Meta(gt=0)] = 0.8
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.08
    least_minutes: Annotated[int, Meta(ge=1)] = 15
    least_spread: Annotated[float, Meta(gt=0)] = 0.3
    least_rise: Annotated[float, Meta(gt=0)] = 0.3
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.5
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Principals whose odds are above the week's highest."""
        above = (seen.residuals.above[:, :, _SHARE] > 0).any(axis=(1, 2))
        return np.asarray((seen.role == PRINCIPAL) & above, np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        excess, hourly = seen.excess_usd[:, :, _VOLUME], seen.excess_usd_per_hour[:, :, _VOLUME]
        warming = r.age_minutes < 2 * MINUTES_PER_DAY
        gate = (r.above[:, :, _SHARE] > 0) & (r.above[:, :, _VOLUME] > 0) & (r.step[:, :, _SHARE] > self.least_rise)
        gate &= (excess > self.least_excess_usd) & (hourly > self.least_usd_per_hour)
        gate &= (np.array(HORIZONS_MINUTES) >= self.least_minutes)[None, :, None]
        gate &= ((seen.role == PRINCIPAL) & ~warming)[:, None, None]
        spread = np.sqrt(r.scale[:, -1:, _SHARE] ** 2 + self.least_spread**2)
        score = np.maximum(r.above[:, :, _SHARE], 0.0) / spread
        return None, judge(score, gate, warming, self.threshold, np.array([REQUESTS]), excess, hourly)
