"""A principal that calls as evenly as a clock, and never did.

Catches: a client in a tight loop: it calls at one rate day and night, while people, crowds and their agents come
in clumps. Its dollars need not be above the usual: beside busy days a loop may hide, but it stays even. Misses: loops
on a principal whose usual traffic is many times the loop's, loops of a few calls an hour, principals younger than a
day, and a second loop within days. Of a loop that costs less than the usual it falls silent some hours after the
beat has become the highest known, since what is held is dollars.
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

_HOUR = HORIZONS_MINUTES.index(60)
_NEWS = 1.25
"""So many times as even as ever must it be: a beat that always was is nothing new."""


class Clockwork(Detector, frozen=True, kw_only=True):
    """How many times more even its requests a minute are than independent calls would be, of an hour or of four."""

    kind: ClassVar[str] = "clockwork"
    roles: ClassVar[tuple[int, ...]] = (PRINCIPAL,)
    about_principals: ClassVar[bool] = True
    names_its_driver: ClassVar[bool] = True
    blames_deployments: ClassVar[bool] = False
    threshold: Annotated[float, Meta(gt=0)] = 4.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.05
    tail: Annotated[float, Meta(gt=0)] = 0.5
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.02
    least_requests_per_minute: Annotated[float, Meta(ge=1)] = 1.2
    least_run_minutes: Annotated[int, Meta(ge=1)] = 30
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.8

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Principals a day old that run, more evenly than ever."""
        r = seen.residuals
        runs = r.rhythm.run_minutes >= self.least_run_minutes
        runs &= r.rhythm.requests_per_minute >= self.least_requests_per_minute
        runs &= r.rhythm.evenness > _NEWS * r.rhythm.highest_evenness
        return np.asarray(runs & (seen.role == PRINCIPAL) & (r.age_minutes >= MINUTES_PER_DAY), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        warming = r.age_minutes < MINUTES_PER_DAY
        of_clock = 1 - 1 / np.maximum(r.rhythm.evenness, 1.0)  # independent calls add as much to jumps as to requests
        excess = (of_clock[:, None] * (r.sums[:, :, PAID] + r.sums[:, :, GPU]))[:, :, None]
        hourly = (of_clock[:, None] * 60 * r.usd_per_minute)[:, :, None]
        gate = self.may_speak(seen)[:, None, None] & (hourly > self.least_usd_per_hour)
        gate &= (np.arange(len(HORIZONS_MINUTES)) == _HOUR)[None, :, None]
        score = np.broadcast_to(r.rhythm.evenness[:, None, None], gate.shape)
        return None, judge(score, gate, warming, self.threshold, np.array([REQUESTS]), excess, hourly)
