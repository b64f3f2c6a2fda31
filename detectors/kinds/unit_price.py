"""The price paid against the list price.

Catches: a discount that ended, a price raised, a tier left. Nearly free of chance: a ratio of prices has no
reason to move by itself. Where bills weigh kinds of tokens otherwise than the list (writes to a cache that events do
not count), the series has learned how (:mod:`detectors.baselines.bill`). Where the ratio moves all the same (a discount
on some requests, a price for long prompts), a rise must be as many times larger as it usually moves more than an exact
one. It is judged by service and model, and told of by model, since prices are.
Misses: models that are not in the price list (their ratio is one by definition).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_UNIT, YOUNG_MINUTES
from detectors.baselines.drivers import UNIT
from detectors.minutes.series import MODEL
from detectors.minutes.totals import N
from detectors.verdicts import Detector, Seen, Verdicts, judge


class UnitPrice(Detector, frozen=True, kw_only=True):
    """A hundred times the logarithm by which paid over list has risen, less where it often moves."""

    kind: ClassVar[str] = "unit_price"
    roles: ClassVar[tuple[int, ...]] = (MODEL,)
    place: ClassVar[str] = "model"
    names_its_driver: ClassVar[bool] = True
    blames_deployments: ClassVar[bool] = False
    threshold: Annotated[float, Meta(gt=0)] = 5.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.02
    tail: Annotated[float, Meta(gt=0)] = 1.0
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.01
    exact_within: Annotated[float, Meta(gt=0)] = 0.003
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 0.05

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Models that are dearer by so much."""
        rise = seen.residuals.step[:, :, C_UNIT].max(axis=1)
        return np.asarray((seen.role == MODEL) & ~(100 * rise < self.threshold), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        only = slice(C_UNIT, C_UNIT + 1)
        excess, hourly = seen.excess_usd[:, :, only], seen.excess_usd_per_hour[:, :, only]
        warming = r.active_minutes < YOUNG_MINUTES
        gate = (hourly > self.least_usd_per_hour) & ~warming[:, None, None]
        gate &= (r.base[:, :, N] > 20)[:, :, None] & (seen.role == MODEL)[:, None, None]
        moves = np.maximum(r.scale[:, :, only] / self.exact_within, 1.0)
        score = 100 * np.maximum(r.step[:, :, only], 0.0) / moves
        return None, judge(score, gate, warming, self.threshold, np.array([UNIT]), excess, hourly)
