"""Requests to a model that nobody priced and whose cost no source told.

Catches: a model missing in the price list: its spend is unknown, which is not zero. Free of chance.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.drivers import MIX
from detectors.minutes.series import MODEL
from detectors.verdicts import ANOMALOUS, NORMAL, Detector, Seen, Verdicts


class UnpricedModel(Detector, frozen=True, kw_only=True):
    """Requests in the minute that have no price."""

    kind: ClassVar[str] = "unpriced_model"
    roles: ClassVar[tuple[int, ...]] = (MODEL,)
    names_its_driver: ClassVar[bool] = True
    blames_deployments: ClassVar[bool] = False
    threshold: Annotated[float, Meta(gt=0)] = 1.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.02
    tail: Annotated[float, Meta(gt=0)] = 1e6
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.01

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Models without a price."""
        return np.asarray((seen.role == MODEL) & (seen.unpriced_requests >= self.threshold), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        rows = len(seen)
        score = np.where(seen.role == MODEL, seen.unpriced_requests, 0).astype(float)
        status = np.where(score >= self.threshold, ANOMALOUS, NORMAL).astype(np.int8)
        nothing = np.zeros(rows)
        return None, Verdicts(
            status, score, np.zeros(rows, np.int8), np.full(rows, MIX, np.int8), nothing, nothing.copy()
        )
