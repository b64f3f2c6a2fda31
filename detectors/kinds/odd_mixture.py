"""An isolation forest over the residuals of all drivers and horizons.

Catches: mixtures of mild deviations, none of which is loud alone. It cannot rank beyond what it was trained
on, so an amplitude needs the other kinds. Warming until it has seen enough examples; grown anew each day.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_SHARE, C_VOLUME
from detectors.baselines.drivers import REQUESTS
from detectors.clock import MINUTES_PER_DAY
from detectors.forest import isolation_forest as trees_of
from detectors.forest.features import FEATURES, features_of
from detectors.forest.isolation_forest import Forest
from detectors.minutes.series import SERVICE
from detectors.minutes.totals import Floats
from detectors.verdicts import DRIVER_OF_CHANNEL, Detector, Seen, Verdicts, judge

_FIVE_MINUTES = 1


class OddMixtureState(msgspec.Struct):
    """A reservoir of examples (Vitter's algorithm R, seeded), and the forest grown from it."""

    examples: NDArray[np.float32]
    offered: int = 0
    grown_at: int = -(2**31)
    grown_from: int = 0
    """How many examples had been offered by then."""
    forest: Forest | None = None


class OddMixture(Detector, frozen=True, kw_only=True):
    """How much a row's path in the forest is shorter than usual, from 0 to 1."""

    kind: ClassVar[str] = "odd_mixture"
    pooled: ClassVar[bool] = True
    threshold: Annotated[float, Meta(gt=0)] = 0.66
    natural_per_week: Annotated[float, Meta(gt=0)] = 3.0
    tail: Annotated[float, Meta(gt=0)] = 0.02
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.01
    trees: Annotated[int, Meta(ge=10, le=1000)] = 100
    reservoir: Annotated[int, Meta(ge=256, le=65_536)] = 4096
    least_examples: Annotated[int, Meta(ge=16)] = 512
    refit_minutes: Annotated[int, Meta(ge=60)] = MINUTES_PER_DAY
    seed: int = 0
    least_excess_usd: Annotated[float, Meta(ge=0)] = 5.0
    least_step_z: Annotated[float, Meta(ge=0)] = 2.0

    def start(self) -> OddMixtureState:
        """No examples yet."""
        return OddMixtureState(np.zeros((0, len(FEATURES)), np.float32))

    def step(self, state: OddMixtureState, seen: Seen) -> tuple[OddMixtureState, Verdicts]:
        """Judge the active series of some minutes, each as one batch, then learn from its sampled ones."""
        r = seen.residuals
        features = features_of(r, seen.minutes_since_deployment)
        loud = self._loud(seen)
        after, odd, warming = self._go_through(state, seen, features, loud)
        excess, hourly = seen.excess_usd, seen.excess_usd_per_hour
        any_driver = excess.max(axis=2)[:, :, None]  # the drivers' parts are in the volume's: a sum would count twice
        gate = np.zeros(any_driver.shape, bool)
        gate[:, _FIVE_MINUTES] = (loud & ~warming)[:, None]
        score = np.broadcast_to(odd[:, None, None], any_driver.shape)
        verdicts = judge(
            score, gate, warming, self.threshold, np.array([REQUESTS]), any_driver, hourly.max(axis=2)[:, :, None]
        )
        parts = excess[:, _FIVE_MINUTES].copy()
        parts[:, C_SHARE] = 0.0  # the volume's own
        parts[:, C_VOLUME] -= parts[:, :C_VOLUME].sum(axis=1)  # what no other driver explains is requests
        loudest = DRIVER_OF_CHANNEL[parts.argmax(axis=1)]
        return after, msgspec.structs.replace(verdicts, driver=loudest.astype(np.int8))

    def wants(self, seen: Seen) -> NDArray[np.bool_]:
        """Examples to learn from, and what costs enough and is mildly odd in some driver."""
        return _examples(seen) | self._loud(seen)

    def _loud(self, seen: Seen) -> NDArray[np.bool_]:
        r = seen.residuals
        loud = seen.excess_usd[:, _FIVE_MINUTES].max(axis=1) > self.least_excess_usd
        dear = np.flatnonzero(loud)
        deviates = (r.step_z[dear] > self.least_step_z).any(axis=(1, 2))
        loud[dear] = deviates | (r.above[dear, :, C_VOLUME] > 0).any(axis=1)
        return np.asarray(loud, np.bool_)

    def _go_through(
        self, state: OddMixtureState, seen: Seen, features: NDArray[np.float32], loud: NDArray[np.bool_]
    ) -> tuple[OddMixtureState, Floats, NDArray[np.bool_]]:
        """How odd loud rows are, and which came before the first forest: one grown after a minute judges the next."""
        minutes = seen.residuals.minute
        odd, warming = np.zeros(len(minutes)), np.zeros(len(minutes), bool)
        ends = [*(np.flatnonzero(np.diff(minutes)) + 1).tolist(), len(minutes)] if len(minutes) else []
        judged = 0
        examples = _examples(seen)
        for first, end in pairwise([0, *ends]):
            after = self._learn(state, features[first:end][examples[first:end]], int(minutes[first]))
            if after.forest is not state.forest or end == len(minutes):
                some = judged + np.flatnonzero(loud[judged:end])
                if state.forest and len(some):
                    odd[some] = trees_of.score(state.forest, features[some])
                warming[judged:end] = state.forest is None
                judged = end
            state = after
        return state, odd, warming

    def _learn(self, state: OddMixtureState, given: NDArray[np.float32], minute: int) -> OddMixtureState:
        """Take the examples of a minute; grow a new forest if one is due."""
        examples, offered = state.examples, state.offered
        for row in given:
            offered += 1
            if len(examples) < self.reservoir:
                examples = np.concatenate([examples, row[None]])
                continue
            place = int(np.random.default_rng([self.seed, offered]).integers(offered))
            if place < self.reservoir:
                examples = examples.copy()
                examples[place] = row
        if len(examples) < self.least_examples or not self._is_due(state, offered, minute):
            return OddMixtureState(examples, offered, state.grown_at, state.grown_from, state.forest)
        forest = trees_of.fit(examples, self.trees, self.seed + minute // self.refit_minutes)
        return OddMixtureState(examples, offered, minute, offered, forest)

    def _is_due(self, state: OddMixtureState, offered: int, minute: int) -> bool:
        """Whether half of all examples are news to the forest: the reservoir is of all time, and changes no faster."""
        return offered >= 2 * state.grown_from and minute - state.grown_at >= self.refit_minutes


def _examples(seen: Seen) -> NDArray[np.bool_]:
    """Services' minutes: those of their models would tell the same again."""
    return np.asarray(seen.sampled & (seen.role == SERVICE), np.bool_)
