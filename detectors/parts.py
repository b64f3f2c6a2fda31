"""Parts of a service: its models and its principals, against the service that they are parts of."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines import C_MIX, C_VOLUME, Residuals
from detectors.clock import MINUTES_PER_DAY
from detectors.series import MODEL, PRINCIPAL, SERVICE, SeriesState
from detectors.verdicts import Parts, Seen

NEVER_NEWS = -(2**30)
SETTLED_MINUTES = 2 * MINUTES_PER_DAY
"""In a service younger than this every model is new, and none is news."""
HOLDS_MOST = 0.6
"""A principal is named if it holds this share of what its service costs above the usual."""
_QUARTER_HOUR = 2


class PartsState(msgspec.Struct):
    """Columns with a row a series; filled for services."""

    models: NDArray[np.int32]
    """How many models were ever used."""
    news: NDArray[np.int32]
    """The minute in which a settled service first used its newest model."""


def parts_of(state: PartsState, series: SeriesState, residuals: Residuals) -> Parts:
    """What each row is to its service; models that were never seen before in it are counted."""
    _room_for(state, len(series.names))
    service = series.whole[residuals.series]
    models, news = state.models[service], state.news[service]
    new = (residuals.active_minutes == 1) & (series.role[residuals.series] == MODEL)
    for row in np.flatnonzero(new):
        place, since = service[row], residuals.minute >= residuals.minute[row]
        state.models[place] += 1
        models[since & (service == place)] += 1
        if residuals.age_minutes[residuals.whole[row]] >= SETTLED_MINUTES:
            state.news[place] = residuals.minute[row]
            news[since & (service == place)] = residuals.minute[row]
    whole = residuals.whole
    usual = residuals.level[:, :, C_MIX] - residuals.step[:, :, C_MIX]
    dearer = residuals.level[:, :, C_MIX] - usual[whole]
    dearer[np.isnan(dearer)] = 0.0
    age = residuals.age_minutes
    return Parts(
        models=models,
        minutes_since_new_model=residuals.minute - news,
        whole_age_minutes=age[whole],
        joined_minutes=age[whole] - age,
        dearer=dearer,
    )


def _room_for(state: PartsState, series: int) -> None:
    more = series - len(state.models)
    if more > 0:
        state.models = np.concatenate([state.models, np.zeros(more, np.int32)])
        state.news = np.concatenate([state.news, np.full(more, NEVER_NEWS, np.int32)])


def culprits(series: SeriesState, seen: Seen, minute: slice, rows: NDArray[np.intp]) -> list[str]:
    """For each of some rows, the principal that holds most of what its service costs above the usual, or nothing.

    Parameters
    ----------
    series, seen
        The series, and the rows of some minutes.
    minute
        The rows of the minute that is asked about.
    rows
        Those of them that are.
    """
    r = seen.residuals
    principals = np.flatnonzero(seen.role[minute] == PRINCIPAL) + minute.start if len(rows) else rows
    return [_culprit(series, seen, principals[r.whole[principals] == r.whole[row]], row) for row in rows.tolist()]


def _culprit(series: SeriesState, seen: Seen, principals: NDArray[np.intp], row: int) -> str:
    def name(row: int) -> str:
        return series.names[int(seen.residuals.series[row])].values[1]

    if seen.role[row] == PRINCIPAL:
        return name(row)
    above = seen.excess_usd[principals, _QUARTER_HOUR, C_VOLUME]
    if seen.role[row] not in (SERVICE, MODEL) or not above.sum() > 0:
        return ""
    best = int(above.argmax())
    return name(int(principals[best])) if above[best] >= HOLDS_MOST * above.sum() else ""
