"""A driver that stepped up after a deployment.

Catches: a prompt, an answer, a cache or a model mix that changed with a deployment: within minutes, since a
driver is calm where dollars are wild. A step is looked for only where it began soon after one: services change by
themselves as often as they are deployed, but seldom both within an hour. Misses: changes that no deployment came
before (see ``range_break``), those of less than a fifth, and changes of volume.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_SHARE, HORIZONS_MINUTES
from detectors.minutes.series import SERVICE
from detectors.verdicts import DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, judge

_DRIVERS = slice(0, C_SHARE)
_YOUNG_MINUTES = 30
_LONGEST_SILENCE_MINUTES = 240
"""First calls so long after a deployment still tell of it; later, other things have changed as well."""


class DriverStep(Detector, frozen=True, kw_only=True):
    """A driver's step over its usual spread, in units of what is equally rare for each driver."""

    kind: ClassVar[str] = "driver_step"
    roles: ClassVar[tuple[int, ...]] = (SERVICE,)
    follows_deployments: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 1.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 1.5
    tail: Annotated[float, Meta(gt=0)] = 0.35
    tail_shape: Annotated[float, Meta(ge=0, le=1)] = 0.5
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.35
    within_minutes: Annotated[int, Meta(ge=1)] = 60
    within_active_minutes: Annotated[int, Meta(ge=1)] = 30
    least_rise: Annotated[float, Meta(gt=0)] = 0.18
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.5
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8
    rare_input: Annotated[float, Meta(gt=0)] = 4.5
    rare_output: Annotated[float, Meta(gt=0)] = 3.3
    rare_cache: Annotated[float, Meta(gt=0)] = 3.5
    rare_mix: Annotated[float, Meta(gt=0)] = 6.5

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Services after a deployment."""
        return np.asarray((seen.role == SERVICE) & self._after(seen).any(axis=1), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        excess, hourly = seen.excess_usd[:, :, _DRIVERS], seen.excess_usd_per_hour[:, :, _DRIVERS]
        gate = self._after(seen)[:, :, None] & (r.step[:, :, _DRIVERS] > self.least_rise)
        gate &= excess > self.least_excess_usd
        gate &= hourly > self.least_usd_per_hour
        warming = r.active_minutes < _YOUNG_MINUTES
        gate &= ((seen.role == SERVICE) & ~warming)[:, None, None]
        score = r.step_z[:, :, _DRIVERS] / (self.rare_input, self.rare_output, self.rare_cache, self.rare_mix)
        return None, judge(score, gate, warming, self.threshold, DRIVER_OF_CHANNEL, excess, hourly)

    def _after(self, seen: Seen) -> NDArray[np.bool_]:
        """Whether each horizon looks at what came soon after a deployment, (rows, h)."""
        since, horizon = seen.minutes_since_deployment[:, None], np.array(HORIZONS_MINUTES)
        called = seen.active_minutes_since_deployment[:, None]
        first_calls = (called <= self.within_active_minutes) & (since <= _LONGEST_SILENCE_MINUTES)
        after = (since >= 2) & (horizon <= 2 * since + 2)
        return np.asarray(after & ((since <= horizon + self.within_minutes) | first_calls), np.bool_)
