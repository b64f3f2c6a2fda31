"""A service that pays for a model it never used, at a higher price than its usual one.

Catches: a switch to a dearer model by one line of configuration, a stolen key on the dearest model. A second
model that is as cheap or cheaper says nothing. Misses: services younger than half a day, and a model that was
used before. Services that use many models lawfully are left out: news means nothing there.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_MIX
from detectors.baselines.drivers import MIX
from detectors.minutes.series import SERVICE
from detectors.verdicts import NEWS_AFTER_MINUTES, Detector, Seen, Verdicts, judge


class NewModel(Detector, frozen=True, kw_only=True):
    """By how much the price of a service's models rose after a model was used for the first time, as a logarithm."""

    kind: ClassVar[str] = "new_model"
    roles: ClassVar[tuple[int, ...]] = (SERVICE,)
    names_its_driver: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 0.25
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.25
    tail: Annotated[float, Meta(gt=0)] = 0.15
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.09
    most_models: Annotated[int, Meta(ge=2)] = 2
    within_minutes: Annotated[int, Meta(ge=1)] = 2880
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.3

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Services with a new model."""
        news = (seen.role == SERVICE) & (seen.parts.minutes_since_new_model <= self.within_minutes)
        news &= seen.parts.models <= self.most_models
        return np.asarray(news & (seen.residuals.age_minutes >= NEWS_AFTER_MINUTES), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        only = slice(C_MIX, C_MIX + 1)
        excess, hourly = seen.excess_usd[:, :, only], seen.excess_usd_per_hour[:, :, only]
        warming = r.age_minutes < NEWS_AFTER_MINUTES
        gate = self.may_speak(seen)[:, None, None] & (excess > self.least_excess_usd)
        return None, judge(
            np.maximum(r.step[:, :, only], 0.0), gate, warming, self.threshold, np.array([MIX]), excess, hourly
        )
