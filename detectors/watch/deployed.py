"""Deployed: when each service was last deployed, and in how many minutes it was active since."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clock import NEVER, minute_of
from detectors.compiled import compiled
from detectors.events import DeploymentEvent
from detectors.minutes.active import Active
from detectors.minutes.series import SERVICE, SeriesState, SeriesTable
from detectors.verdicts import NO_DEPLOYMENT

Ints = NDArray[np.int32]


class DeployedState(NamedTuple):
    """Columns with a row a service, in the order of :attr:`detectors.minutes.series.SeriesState.services`."""

    newest: dict[str, int]
    """Minute of the newest deployment of each service, also of those that were never active."""
    made: Ints
    """The same, :data:`detectors.clock.NEVER` where none was."""
    active: Ints
    """In how many minutes the service's own series was active."""
    active_before: Ints
    """The same at its newest deployment."""


class Notes(NamedTuple):
    """Deployments in the order in which they become known: from which minute on, of which service, made when."""

    known_from: Ints
    service: Ints
    made: Ints


def nothing_deployed() -> DeployedState:
    """No service yet."""
    return DeployedState({}, *(np.zeros(0, np.int32) for _ in range(3)))


def with_services(state: DeployedState, services: list[str]) -> DeployedState:
    """Return the state with a row for each service."""
    new = services[len(state.made) :]
    if not new:
        return state
    made = np.array([state.newest.get(service, NEVER) for service in new], np.int32)
    none = np.zeros(len(new), np.int32)
    pairs = zip(state[1:], (made, none, none), strict=True)
    return DeployedState(state.newest, *(np.concatenate(pair) for pair in pairs))


def notes_of(
    state: DeployedState, series: SeriesState, table: SeriesTable, told: list[tuple[int, list[DeploymentEvent]]]
) -> Notes:
    """Keep the newest deployment of each service; one told late may be older than the last.

    Parameters
    ----------
    state
        Changed, but for its columns: those change where the minutes are gone through.
    series, table
        The services.
    told
        Minutes, rising, each with the deployments that become known in it.
    """
    rows = []
    for known_from, deployments in told:
        for deployment in deployments:
            minute = minute_of(deployment.time)
            if minute < state.newest.get(deployment.service, NEVER):
                continue
            state.newest[deployment.service] = minute
            service = table.service_of(series, deployment.service)
            if service is not None:
                rows.append((known_from, service, minute))
    return Notes(*np.ascontiguousarray(np.array(rows, np.int32).reshape(-1, 3).T))


def note(state: DeployedState, notes: Notes) -> None:
    """Note deployments after which no minute has come yet."""
    _note_up_to(state.made, state.active, state.active_before, notes, 0, int(notes.known_from.max(initial=NEVER)))


def since_deployment(
    state: DeployedState, notes: Notes, series: SeriesState, active: Active, oldest: int
) -> tuple[Ints, Ints]:
    """Minutes since the newest deployment of each row's service, and those of them in which it was active.

    What was deployed before the minute ``oldest`` counts as never: so it may be forgotten.
    """
    since = np.full((2, len(active.series)), NO_DEPLOYMENT, np.int32)
    columns = state.made, state.active, state.active_before
    _since(*columns, notes, series.service, series.role, active, oldest, since)
    return since[0], since[1]


def forget_deployments(state: DeployedState, oldest: int) -> None:
    """Forget which services were last deployed before a minute; that is all that is known of most of them."""
    for service in [service for service, made in state.newest.items() if made < oldest]:
        del state.newest[service]


def keep_services(state: DeployedState, keep: NDArray[np.integer[Any]]) -> DeployedState:
    """Return the state of the services in some places; of deployments, that of all."""
    return DeployedState(state.newest, *(column[keep] for column in state[1:]))


@compiled
def _since(  # noqa: PLR0913, PLR0917 — columns in, columns out
    made: Ints,
    active_minutes: Ints,
    active_before: Ints,
    notes: Notes,
    service_of: Ints,
    role: NDArray[np.int8],
    active: Active,
    oldest: int,
    since: Ints,
) -> None:
    noted = 0
    for m in range(len(active.start) - 1):
        first, end = int(active.start[m]), int(active.start[m + 1])
        if first == end:
            continue
        minute = int(active.minute[first])
        noted = _note_up_to(made, active_minutes, active_before, notes, noted, minute)
        for row in range(first, end):
            if int(role[active.series[row]]) == SERVICE:
                active_minutes[service_of[active.series[row]]] += 1
        for row in range(first, end):
            service = int(service_of[active.series[row]])
            if int(made[service]) >= oldest:
                since[0, row] = minute - int(made[service])
                since[1, row] = int(active_minutes[service]) - int(active_before[service])
    _note_up_to(made, active_minutes, active_before, notes, noted, 2**31 - 1)


@compiled
def _note_up_to(made: Ints, active: Ints, active_before: Ints, notes: Notes, noted: int, minute: int) -> int:
    """Note the deployments that are known by a minute, beginning with one; return how many are noted by then."""
    while noted < len(notes.made) and int(notes.known_from[noted]) <= minute:
        service = int(notes.service[noted])
        made[service] = notes.made[noted]
        active_before[service] = active[service]
        noted += 1
    return noted
