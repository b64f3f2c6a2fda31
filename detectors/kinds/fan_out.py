"""A service whose calls make several of themselves after a deployment.

Catches: a retry in a loop, a query a row, an agent that starts agents: each call now makes k of the same. Requests have
their usual sizes and models, and volume alone says nothing, since services burst by themselves. But a crowd that grows
fills the silent minutes, while calls that multiply leave them silent and come k at once, and they rise by that k and no
more. Misses: services that rest before the deployment, and those whose requests always came in clumps of all sizes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines import C_SHARE, GPU, HORIZONS_MINUTES, PAID, QUIET_USD_PER_MINUTE
from detectors.drivers import REQUESTS
from detectors.residuals import SETTLED_MINUTES
from detectors.series import SERVICE
from detectors.verdicts import Detector, Seen, Verdicts, judge

_HOUR = HORIZONS_MINUTES.index(60)
_SOONEST_MINUTES = 10
"""What is measured over an hour of traffic tells nothing of a deployment sooner."""
_EVEN = 0.05
"""Clumps below this are no smaller to speak of."""


class FanOut(Detector, frozen=True, kw_only=True):
    """How far the number of requests that come at once is above the usual, in units of what it wanders by."""

    kind: ClassVar[str] = "fan_out"
    roles: ClassVar[tuple[int, ...]] = (SERVICE,)
    names_principals: ClassVar[bool] = False
    names_its_driver: ClassVar[bool] = True
    follows_deployments: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 2.3
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.45
    tail: Annotated[float, Meta(gt=0)] = 0.4
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.05
    within_minutes: Annotated[int, Meta(ge=1)] = 60
    least_run_minutes: Annotated[int, Meta(ge=1)] = 20
    least_rise: Annotated[float, Meta(gt=0)] = 0.5
    least_volume_rise: Annotated[float, Meta(gt=0)] = 0.3
    most_more_callers: Annotated[float, Meta(gt=0)] = 0.4
    most_fewer_callers: Annotated[float, Meta(gt=0)] = 0.8
    most_other_rise: Annotated[float, Meta(gt=0)] = 0.4
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.5
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Services that run soon after a deployment."""
        since = seen.minutes_since_deployment
        soon = (since >= _SOONEST_MINUTES) & (since <= self.within_minutes)
        soon &= seen.residuals.rhythm.run_minutes >= self.least_run_minutes
        return np.asarray(soon & (seen.role == SERVICE), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r, beats = seen.residuals, seen.residuals.rhythm
        known = beats.usual_clump >= 0
        rise = np.where(known, np.log((beats.clump + _EVEN) / (np.maximum(beats.usual_clump, 0) + _EVEN)), 0.0)
        usd, usual = r.usd_per_minute[:, _HOUR], r.usual_usd_per_minute[:, _HOUR]
        volume = np.log((usd + QUIET_USD_PER_MINUTE) / (usual + QUIET_USD_PER_MINUTE))
        callers = volume - rise
        warming = (r.age_minutes < SETTLED_MINUTES) | ~known
        gate = self.may_speak(seen) & ~warming & (rise > self.least_rise) & (volume > self.least_volume_rise)
        gate &= (callers < self.most_more_callers) & (callers > -self.most_fewer_callers)
        gate &= (np.abs(r.step[:, _HOUR, :C_SHARE]) < self.most_other_rise).all(axis=1)
        part = 1 - np.exp(-np.maximum(rise, 0.0))
        shape = (len(r), len(HORIZONS_MINUTES), 1)
        spent = r.sums[:, _HOUR, PAID] + r.sums[:, _HOUR, GPU]
        excess = np.broadcast_to((part * spent)[:, None, None], shape)
        hourly = np.broadcast_to((part * 60 * usd)[:, None, None], shape)
        gate = gate[:, None, None] & (excess > self.least_excess_usd) & (hourly > self.least_usd_per_hour)
        gate = gate & (np.arange(len(HORIZONS_MINUTES)) == _HOUR)[None, :, None]
        score = np.broadcast_to((rise / beats.clump_spread)[:, None, None], gate.shape)
        return None, judge(score, gate, warming, self.threshold, np.array([REQUESTS]), excess, hourly)
