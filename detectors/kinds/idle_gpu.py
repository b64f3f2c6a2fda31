"""GPU dollars with no requests.

Catches: a fleet left on after an experiment, a node that nobody calls. Misses: a fleet that serves little.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_VOLUME, HORIZONS_MINUTES
from detectors.baselines.drivers import IDLE_GPU
from detectors.minutes.series import MODEL
from detectors.minutes.totals import GPU, N
from detectors.verdicts import Detector, Seen, Verdicts, judge


class IdleGpu(Detector, frozen=True, kw_only=True):
    """By how much GPU dollars without requests are above the highest of the week, as a logarithm."""

    kind: ClassVar[str] = "idle_gpu"
    roles: ClassVar[tuple[int, ...]] = (MODEL,)
    names_principals: ClassVar[bool] = False
    names_its_driver: ClassVar[bool] = True
    blames_deployments: ClassVar[bool] = False
    threshold: Annotated[float, Meta(gt=0)] = 1.5
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.05
    tail: Annotated[float, Meta(gt=0)] = 0.5
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.02
    least_excess_usd: Annotated[float, Meta(ge=0)] = 1.0

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Models with GPUs."""
        return np.asarray((seen.role == MODEL) & (seen.residuals.sums[:, :, GPU] > 0).any(axis=1), np.bool_)

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of a minute."""
        r = seen.residuals
        only = slice(C_VOLUME, C_VOLUME + 1)
        hourly = seen.excess_usd_per_hour[:, :, only]
        idle = (r.sums[:, :, GPU] > 0) & (r.sums[:, :, N] < 0.5) & (np.array(HORIZONS_MINUTES) <= 60)
        spent = r.sums[:, :, GPU][:, :, None]
        gate = idle[:, :, None] & (spent > self.least_excess_usd) & (seen.role == MODEL)[:, None, None]
        usual = np.maximum(r.usual_usd_per_minute[:, -1:, None], 0.002)  # a day's, so that no fleet is usual in hours
        score = np.log((r.usd_per_minute[:, :, None] + 0.002) / usual)
        warming = np.zeros(len(r), bool)
        return None, judge(score, gate, warming, self.threshold, np.array([IDLE_GPU]), spent, hourly)
