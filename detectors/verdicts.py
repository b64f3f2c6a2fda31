"""What a detector sees of a minute, and what it says of it. The one shape of every kind of detector."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from detectors.baselines.baselines import C_CACHE, C_INPUT, C_MIX, C_OUTPUT, C_SHARE, C_UNIT, C_VOLUME
from detectors.baselines.drivers import CACHE, INPUT, MIX, OUTPUT, REQUESTS, UNIT
from detectors.baselines.residuals import Residuals
from detectors.kind import Kind
from detectors.minutes.series import MODEL, OTHER, PRINCIPAL, SERVICE
from detectors.minutes.totals import Floats

STATUSES = ("warming", "normal", "anomalous")
WARMING, NORMAL, ANOMALOUS = range(len(STATUSES))
NO_DEPLOYMENT = 10**6
"""Minutes since the last deployment where there was none."""

DRIVER_OF_CHANNEL = np.array([INPUT, OUTPUT, CACHE, MIX, REQUESTS, UNIT, REQUESTS])
assert list(range(7)) == [C_INPUT, C_OUTPUT, C_CACHE, C_MIX, C_SHARE, C_UNIT, C_VOLUME]  # noqa: S101 — the order above is theirs

NEWS_AFTER_MINUTES = 720
"""In a service younger than this every model is new, and none is news."""


class Parts(msgspec.Struct, frozen=True):
    """What each row is to the service that it is a part of; columns of shape (rows,) unless said otherwise."""

    models: NDArray[np.int32]
    """How many models the service ever used."""
    minutes_since_new_model: NDArray[np.int32]
    """Since a model was first used in a service that was not new itself."""
    whole_age_minutes: NDArray[np.int32]
    joined_minutes: NDArray[np.int32]
    """How much younger the part is than its service."""


class Seen(msgspec.Struct, frozen=True):
    """The active series of one closed minute, a row a series."""

    residuals: Residuals
    role: NDArray[np.int8]
    """What each series is: see :data:`detectors.minutes.series.SERVICE`."""
    cohort: NDArray[np.uint32]
    """Whom it can be compared with: see :class:`detectors.minutes.series.SeriesState`."""
    minutes_since_deployment: NDArray[np.int32]
    active_minutes_since_deployment: NDArray[np.int32]
    """Those of them in which the service was active: what a change does shows in its first hours of traffic."""
    unpriced_requests: NDArray[np.int64]
    excess_usd: Floats
    """Dollars above the usual by horizon and channel, (rows, h, channels); see
    :func:`detectors.baselines.residuals.excess_of`."""
    excess_usd_per_hour: Floats
    """The same an hour, at the present rate."""
    parts: Parts
    sampled: NDArray[np.bool_]
    """Rows that a detector may learn from as examples of the usual: a fixed share, chosen by hash."""

    def __len__(self) -> int:
        return len(self.residuals)


class Verdicts(msgspec.Struct, frozen=True):
    """A detector's word on each row that it saw; all columns have shape (rows,), of several (rows, detectors)."""

    status: NDArray[np.int8]
    score: Floats
    horizon: NDArray[np.int8]
    driver: NDArray[np.int8]
    excess_usd: Floats
    """Dollars above the usual in the horizon."""
    usd_per_hour: Floats
    """Dollars above the usual, an hour, at the present rate."""


class Detector(Kind, frozen=True, kw_only=True):
    """What every kind of detector has.

    Parameters
    ----------
    threshold
        The score from which a row is anomalous.
    natural_per_week
        Episodes a week and organisation at the threshold that nothing caused, as measured elsewhere: the prior.
    tail
        By how much the score must rise for such episodes to become e times rarer, just above the threshold.
    tail_shape
        How much longer that becomes for each unit that the score rises: 0 where they go on becoming rarer at that rate.
    budget_share
        The share of the page budget that this detector may use.
    """

    pooled: ClassVar[bool] = False
    """Whether it judges the series of all shards together."""
    judges_alone: ClassVar[bool] = False
    """Whether one that is pooled has a word on a series, :meth:`alone`, before it has seen the others."""
    place: ClassVar[str] = "service"
    """The dimension by whose values its incidents are told apart."""
    names_principals: ClassVar[bool] = True
    """Whether a principal can be behind what it sees."""
    about_principals: ClassVar[bool] = False
    """Whether what it says of a principal is about that one alone; else it may be true of the whole service."""
    names_its_driver: ClassVar[bool] = False
    """Whether what it saw has one cause only, so that no other driver is looked for."""
    blames_deployments: ClassVar[bool] = True
    """Whether a deployment can cause what it sees."""
    follows_deployments: ClassVar[bool] = False
    """Whether it looks at what changed after one, so that time without traffic does not count."""
    roles: ClassVar[tuple[int, ...]] = (SERVICE, PRINCIPAL, MODEL, OTHER)
    """What series it judges; of others it never says that they are anomalous."""
    wants_cheap_rows: ClassVar[bool] = False
    """Whether it is asked of every row what it wants: of those, too, that cost nothing above the usual, are no examples
    and fail nowhere."""
    threshold: Annotated[float, Meta(gt=0)] = 5.0
    natural_per_week: Annotated[float, Meta(gt=0)] = 1.0
    tail: Annotated[float, Meta(gt=0)] = 1.0
    tail_shape: Annotated[float, Meta(ge=0, le=1)] = 0.0
    budget_share: Annotated[float, Meta(gt=0, le=1)] = 0.2

    def start(self) -> Any:  # noqa: ANN401 — each kind has a state of its own
        """State before the first minute; most kinds need none beside the baselines."""
        return None

    def step(self, state: Any, seen: Seen) -> tuple[Any, Verdicts]:  # noqa: ANN401 — as above
        """Judge the active series of a minute."""
        raise TypeError(f"{type(self).__name__} does not say how it judges a minute")

    def alone(self, seen: Seen) -> Verdicts:
        """What a pooled detector says of each row as if there were no others: at least what it says among them."""
        raise TypeError(f"{type(self).__name__} does not say how it judges a row by itself")

    def may_speak(self, seen: Seen) -> NDArray[np.bool_]:
        """Rows, shape (rows,), among which all are that are anomalous: what can be told cheaply spares :meth:`step`."""
        return np.ones(len(seen), bool)

    def wants(self, seen: Seen) -> NDArray[np.bool_]:
        """Rows that a pooled detector wants to see or to learn from; shape (rows,)."""
        return np.zeros(len(seen), bool)


def side_by_side(said: list[Verdicts], rows: int) -> Verdicts:
    """What several detectors say of the same rows, in columns of shape (rows, detectors)."""
    types = (np.int8, float, np.int8, np.int8, float, float)
    columns = [np.empty((rows, len(said)), dtype) for dtype in types]
    for name, column in zip(Verdicts.__struct_fields__, columns, strict=True):
        for place, verdicts in enumerate(said):
            column[:, place] = getattr(verdicts, name)
    return Verdicts(*columns)


def apart(said: Verdicts) -> list[Verdicts]:
    """What :func:`side_by_side` was given."""
    columns = [getattr(said, name) for name in Verdicts.__struct_fields__]
    return [Verdicts(*(column[:, place] for column in columns)) for place in range(said.status.shape[1])]


def judge(
    score: Floats,
    gate: NDArray[np.bool_],
    warming: NDArray[np.bool_],
    threshold: float,
    driver_of_column: NDArray[np.int64],
    excess_usd: Floats,
    usd_per_hour: Floats,
) -> Verdicts:
    """Verdicts from scores by horizon and column: each row's word is its best score that passes the gate.

    Parameters
    ----------
    score, gate, excess_usd, usd_per_hour
        Shape (rows, horizons, columns).
    warming
        Shape (rows,).
    driver_of_column
        Which driver a column stands for, shape (columns,).
    """
    rows, horizons, columns = score.shape
    flat = (rows, horizons * columns)
    best, top = np.zeros(rows, np.intp), np.zeros(rows)
    passed = np.flatnonzero(gate.reshape(flat).any(axis=1))  # few do
    usable = np.where(gate[passed] & np.isfinite(score[passed]), score[passed], 0.0).reshape(len(passed), flat[1])
    best[passed], top[passed] = usable.argmax(axis=1), usable.max(axis=1)
    at = np.arange(rows)
    status = np.where(top >= threshold, ANOMALOUS, np.where(warming, WARMING, NORMAL))
    return Verdicts(
        status.astype(np.int8),
        top,
        (best // columns).astype(np.int8),
        driver_of_column[best % columns].astype(np.int8),
        excess_usd[at, best // columns, best % columns],
        usd_per_hour[at, best // columns, best % columns],
    )
