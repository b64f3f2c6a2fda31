"""A storm of billed retries: one service's requests fail, and each one that succeeds costs more than before.

Catches: clients that retry what fails, where attempts are billed. Not an outage: that fails many services at
once and makes none of them dearer. Misses: storms that nobody is billed for (they cost nothing), and storms
during an outage.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.drivers import REQUESTS
from detectors.minutes.series import SERVICE
from detectors.minutes.totals import ERR, PAID, Floats, N
from detectors.verdicts import Detector, Seen, Verdicts, judge

_QUARTER_HOUR = 2
_FAILING_SHARE = 0.1
_NOISE = 0.1
"""By how much the cost of a success moves by itself, as a logarithm."""


class RetryStorm(Detector, frozen=True, kw_only=True):
    """By how much a success is dearer than usual, in units of its noise, while requests fail."""

    kind: ClassVar[str] = "retry_storm"
    roles: ClassVar[tuple[int, ...]] = (SERVICE,)
    pooled: ClassVar[bool] = True
    judges_alone: ClassVar[bool] = True
    names_its_driver: ClassVar[bool] = True
    blames_deployments: ClassVar[bool] = False
    threshold: Annotated[float, Meta(gt=0)] = 2.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 0.2
    tail: Annotated[float, Meta(gt=0)] = 1.6
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.03
    least_error_share: Annotated[float, Meta(gt=0, lt=1)] = 0.3
    least_requests: Annotated[int, Meta(ge=1)] = 10
    most_others_failing: Annotated[int, Meta(ge=0)] = 0
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.2

    def step(self, state: None, seen: Seen) -> tuple[None, Verdicts]:
        """Judge the active series of some minutes."""
        failing = self._fails(seen)
        minute = np.unique(seen.residuals.minute, return_inverse=True)[1]
        others = np.bincount(minute, failing)[minute] - failing if len(seen) else failing
        return None, self._judged(seen, others <= self.most_others_failing)

    def alone(self, seen: Seen) -> Verdicts:
        """Judge as if nobody else failed."""
        return self._judged(seen, np.ones(len(seen), bool))

    def _judged(self, seen: Seen, is_alone: NDArray[np.bool_]) -> Verdicts:
        r = seen.residuals
        failed, served = r.sums[:, :, ERR], r.sums[:, :, N] - r.sums[:, :, ERR]
        share = failed / np.maximum(r.sums[:, :, N], 1e-9)
        usual_share = r.base[:, :, ERR] / np.maximum(r.base[:, :, N], 1e-9)
        with np.errstate(all="ignore"):
            dearer = np.log(r.sums[:, :, PAID] / served) - np.log(
                r.base[:, :, PAID] / (r.base[:, :, N] - r.base[:, :, ERR])
            )
            dearer = np.where(np.isfinite(dearer), dearer, 0.0)
        score = dearer / np.sqrt(_NOISE**2 + 1.0 / np.maximum(served, 1.0))
        excess = r.sums[:, :, PAID] * (1 - np.exp(-np.clip(dearer, 0, 20)))
        hourly = excess / np.maximum(r.sums[:, :, PAID], 1e-30) * r.usd_per_minute * 60
        gate = (share > self.least_error_share) & (share > 3 * usual_share + 0.05)
        gate &= (r.sums[:, :, N] > self.least_requests) & (excess > self.least_excess_usd)
        gate &= (seen.role == SERVICE)[:, None]
        gate &= is_alone[:, None]
        warming = r.active_minutes < 30
        gate &= ~warming[:, None]
        return judge(
            score[:, :, None],
            gate[:, :, None],
            warming,
            self.threshold,
            np.array([REQUESTS]),
            excess[:, :, None],
            hourly[:, :, None],
        )

    def wants(self, seen: Seen) -> NDArray[np.bool_]:
        """Services whose requests fail, however little they cost: whether it is one or many decides."""
        return self._fails(seen)

    def _fails(self, seen: Seen) -> NDArray[np.bool_]:
        r = seen.residuals
        failed: Floats = r.sums[:, _QUARTER_HOUR, ERR]
        return np.asarray(
            (failed > _FAILING_SHARE * r.sums[:, _QUARTER_HOUR, N]) & (failed > 2) & (seen.role == SERVICE), np.bool_
        )
