"""A service too young to have a past, whose requests are unlike those of all other services on the same model.

Catches: a batch, a loop or a runaway prompt on a service that was silent until now: it is held against what requests
to its model are over the organisation. Misses: young services whose requests have the usual sizes, and models that
few services use. A service with a past is compared with that, by the other kinds.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines import C_INPUT, HORIZONS_MINUTES, LEAST_REQUESTS, LIST, LIST_IN, PAID, Floats, N
from detectors.drivers import INPUT, OUTPUT
from detectors.residuals import SETTLED_MINUTES
from detectors.series import MODEL
from detectors.verdicts import Detector, Seen, Verdicts, judge

_SIZES = slice(C_INPUT, C_INPUT + 2)
_QUARTER_HOUR, _HOUR = HORIZONS_MINUTES.index(15), HORIZONS_MINUTES.index(60)
_HORIZONS = np.isin(HORIZONS_MINUTES, (5, 15, 60))
_LEAST_SPREAD = 0.7
"""Services on one model differ at least by so much, as a logarithm."""


class Cohort(msgspec.Struct):
    """What logarithms of input and output a request were over all services on a model; see :meth:`spread`."""

    examples: int
    mean: list[float]
    squares: list[float]
    """Sums of squared distances from the mean (Welford, 1962)."""

    def learn(self, level: list[float]) -> None:
        """Take an example."""
        self.examples += 1
        for at, value in enumerate(level):
            away = value - self.mean[at]
            self.mean[at] += away / self.examples
            self.squares[at] += away * (value - self.mean[at])

    def spread(self) -> Floats:
        """Standard deviations, shape (2,), never below :data:`_LEAST_SPREAD`."""
        return np.maximum(np.sqrt(np.array(self.squares) / max(self.examples - 1, 1)), _LEAST_SPREAD)


class UnlikePeersState(msgspec.Struct):
    """Cohorts by model."""

    cohorts: dict[int, Cohort]


class UnlikePeers(Detector, frozen=True, kw_only=True):
    """How many spreads the size of a young service's requests is above that of its model over all services."""

    kind: ClassVar[str] = "unlike_peers"
    pooled: ClassVar[bool] = True
    roles: ClassVar[tuple[int, ...]] = (MODEL,)
    names_its_driver: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 2.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 1.25
    tail: Annotated[float, Meta(gt=0)] = 0.45
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.04
    least_examples: Annotated[int, Meta(ge=2)] = 50
    least_excess_usd: Annotated[float, Meta(ge=0)] = 0.5
    least_usd_per_hour: Annotated[float, Meta(ge=0)] = 2.0

    def start(self) -> UnlikePeersState:
        """No cohort yet."""
        return UnlikePeersState({})

    def step(self, state: UnlikePeersState, seen: Seen) -> tuple[UnlikePeersState, Verdicts]:
        """Judge the young models of services minute by minute, and learn from the examples of each minute after it."""
        minutes = seen.residuals.minute
        above, spreads = np.zeros((2, len(seen), len(HORIZONS_MINUTES), 2))
        ends = [*(np.flatnonzero(np.diff(minutes)) + 1).tolist(), len(minutes)] if len(minutes) else []
        young, examples = self._young(seen), self._examples(seen)
        cohorts = {number: msgspec.structs.replace(c, mean=[*c.mean], squares=[*c.squares])
                   for number, c in state.cohorts.items()}  # fmt: skip
        for first, end in pairwise([0, *ends]):
            for row in (first + np.flatnonzero(young[first:end])).tolist():
                above[row], spreads[row] = self._compare(cohorts.get(int(seen.cohort[row])), seen, row)
            for row in (first + np.flatnonzero(examples[first:end])).tolist():
                cohort = cohorts.setdefault(int(seen.cohort[row]), Cohort(0, [0.0, 0.0], [0.0, 0.0]))
                cohort.learn(seen.residuals.level[row, _HOUR, _SIZES].tolist())
        return UnlikePeersState(cohorts), self._judge(seen, young, above, spreads)

    def wants(self, seen: Seen) -> NDArray[np.bool_]:
        """Examples to learn from, and young models of services that cost enough."""
        return self._examples(seen) | self._young(seen)

    def _examples(self, seen: Seen) -> NDArray[np.bool_]:
        known = np.isfinite(seen.residuals.level[:, _HOUR, _SIZES]).all(axis=1)
        return np.asarray(seen.sampled & (seen.role == MODEL) & known, np.bool_)

    def _young(self, seen: Seen) -> NDArray[np.bool_]:
        dear = seen.residuals.usd_per_minute[:, _QUARTER_HOUR] * 60 > self.least_usd_per_hour
        return np.asarray((seen.role == MODEL) & (seen.parts.whole_age_minutes < SETTLED_MINUTES) & dear, np.bool_)

    def _compare(self, cohort: Cohort | None, seen: Seen, row: int) -> tuple[Floats, Floats]:
        """How far sizes are above the cohort's mean (less the noise of counting), and in spreads; shape (h, 2) each."""
        r = seen.residuals
        if cohort is None or cohort.examples < self.least_examples:
            nothing = np.zeros((len(HORIZONS_MINUTES), 2))
            return nothing, nothing
        noise = 1 / np.sqrt(np.maximum(r.sums[row, :, N], LEAST_REQUESTS))
        above = np.nan_to_num(r.level[row, :, _SIZES] - noise[:, None] - cohort.mean)
        return above, above / cohort.spread()

    def _judge(self, seen: Seen, young: NDArray[np.bool_], above: Floats, spreads: Floats) -> Verdicts:
        r = seen.residuals
        in_share = np.minimum(r.sums[:, :, LIST_IN] / np.maximum(r.sums[:, :, LIST], 1e-30), 1.0)
        part = np.stack([in_share, 1 - in_share], axis=2) * (1 - np.exp(-np.clip(above, 0, 20)))
        excess, hourly = part * r.sums[:, :, PAID][:, :, None], part * (60 * r.usd_per_minute)[:, :, None]
        gate = young[:, None, None] & _HORIZONS[None, :, None] & (excess > self.least_excess_usd)
        gate &= hourly > self.least_usd_per_hour
        warming = np.zeros(len(seen), bool)
        return judge(spreads, gate, warming, self.threshold, np.array([INPUT, OUTPUT]), excess, hourly)
