"""A service too young to have a past, whose requests are unlike those of all other services on the same model.

Catches: a batch, a loop or a runaway prompt on a service that was silent until now: it is held against what requests
to its model are over the organisation. Misses: young services whose requests have the usual sizes, models that few
services use, and the first two days of an organisation, in which all services are young. A service with a past is
compared with that, by the other kinds.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_INPUT, HORIZONS_MINUTES, LEAST_REQUESTS
from detectors.baselines.drivers import INPUT, OUTPUT
from detectors.baselines.residuals import SETTLED_MINUTES
from detectors.minutes.series import MODEL
from detectors.minutes.totals import LIST, LIST_IN, PAID, Floats, N
from detectors.verdicts import Detector, Seen, Verdicts, judge

_SIZES = slice(C_INPUT, C_INPUT + 2)
_QUARTER_HOUR, _HOUR = HORIZONS_MINUTES.index(15), HORIZONS_MINUTES.index(60)
_HORIZONS = np.isin(HORIZONS_MINUTES, (5, 15, 60))
_JUDGED_ONE_IN = 5
"""Of so many active minutes the first is judged: in an organisation that has just begun all services are young, and
what is pooled has to be sent."""
_LEAST_SPREAD = 0.7
"""Services on one model differ at least by so much, as a logarithm."""


class Cohort(msgspec.Struct):
    """What logarithms of input and output a request were over all services on a model."""

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


class UnlikePeersState(msgspec.Struct):
    """Cohorts by model, and the first minute of which anything was told."""

    cohorts: dict[int, Cohort]
    began: int | None = None


class UnlikePeers(Detector, frozen=True, kw_only=True):
    """How many spreads the size of a young service's requests is above that of its model over all services."""

    kind: ClassVar[str] = "unlike_peers"
    pooled: ClassVar[bool] = True
    roles: ClassVar[tuple[int, ...]] = (MODEL,)
    names_its_driver: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 2.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 1.75
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
        above, spreads = np.zeros((2, len(seen), len(HORIZONS_MINUTES), 2))
        if not len(seen):
            return state, self._judge(seen, np.zeros(0, bool), above, spreads)
        minute = seen.residuals.minute
        began = int(minute[0]) if state.began is None else state.began
        young, examples = self._young(seen) & (minute - began >= SETTLED_MINUTES), self._examples(seen)
        cohorts = {number: msgspec.structs.replace(c, mean=[*c.mean], squares=[*c.squares])
                   for number, c in state.cohorts.items()}  # fmt: skip
        asked, before = self._go_through(cohorts, seen, np.flatnonzero(young), np.flatnonzero(examples))
        above[asked], spreads[asked] = _compare(before, seen, asked)
        return UnlikePeersState(cohorts, began), self._judge(seen, young, above, spreads)

    def wants(self, seen: Seen) -> NDArray[np.bool_]:
        """Examples to learn from, and young models of services that cost enough."""
        return self._examples(seen) | self._young(seen)

    def _examples(self, seen: Seen) -> NDArray[np.bool_]:
        known = np.isfinite(seen.residuals.level[:, _HOUR, _SIZES]).all(axis=1)
        return np.asarray(seen.sampled & (seen.role == MODEL) & known, np.bool_)

    def _young(self, seen: Seen) -> NDArray[np.bool_]:
        r = seen.residuals
        dear = r.usd_per_minute[:, _QUARTER_HOUR] * 60 > self.least_usd_per_hour
        is_due = r.active_minutes % _JUDGED_ONE_IN == 1
        young = (seen.role == MODEL) & (seen.parts.whole_age_minutes < SETTLED_MINUTES)
        return np.asarray(young & dear & is_due, np.bool_)

    def _go_through(
        self, cohorts: dict[int, Cohort], seen: Seen, young: NDArray[np.intp], examples: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], Floats]:
        """Let cohorts learn from the examples of each minute, after its young rows were held against them.

        Returns
        -------
        The young rows whose cohort knew enough, and what it knew: mean and variance by size, shape (rows, 2, 2).
        """
        rows, is_example = np.concatenate([young, examples]), np.arange(len(young) + len(examples)) >= len(young)
        order = np.lexsort((rows, is_example, seen.residuals.minute[rows]))
        levels = seen.residuals.level[rows[order], _HOUR, _SIZES].tolist()
        numbers = seen.cohort[rows[order]].tolist()
        asked, known = [], []
        turns = zip(rows[order].tolist(), is_example[order].tolist(), numbers, levels, strict=True)
        for row, learns, number, level in turns:
            cohort = cohorts.get(number)
            if learns:
                if cohort is None:
                    cohort = cohorts[number] = Cohort(0, [0.0, 0.0], [0.0, 0.0])
                cohort.learn(level)
            elif cohort is not None and cohort.examples >= self.least_examples:
                asked.append(row)
                known.append((tuple(cohort.mean), tuple(each / max(cohort.examples - 1, 1) for each in cohort.squares)))
        return np.array(asked, np.intp), np.array(known).reshape(-1, 2, 2)

    def _judge(self, seen: Seen, young: NDArray[np.bool_], above: Floats, spreads: Floats) -> Verdicts:
        r = seen.residuals
        in_share = np.minimum(r.sums[:, :, LIST_IN] / np.maximum(r.sums[:, :, LIST], 1e-30), 1.0)
        part = np.stack([in_share, 1 - in_share], axis=2) * (1 - np.exp(-np.clip(above, 0, 20)))
        excess, hourly = part * r.sums[:, :, PAID][:, :, None], part * (60 * r.usd_per_minute)[:, :, None]
        gate = young[:, None, None] & _HORIZONS[None, :, None] & (excess > self.least_excess_usd)
        gate &= hourly > self.least_usd_per_hour
        warming = np.zeros(len(seen), bool)
        return judge(spreads, gate, warming, self.threshold, np.array([INPUT, OUTPUT]), excess, hourly)


def _compare(known: Floats, seen: Seen, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """How far rows' sizes are above their cohort's mean (less the noise of counting), and in spreads; (rows, h, 2)."""
    r = seen.residuals
    noise = 1 / np.sqrt(np.maximum(r.sums[rows, :, N], LEAST_REQUESTS))
    above = np.nan_to_num(r.level[rows][:, :, _SIZES] - noise[:, :, None] - known[:, None, 0])
    return above, above / np.maximum(np.sqrt(known[:, None, 1]), _LEAST_SPREAD)
