"""What a rule sees of a minute, and what it says of it. The one shape of every kind of rule."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import moment_of
from detectors.events import Initiative, Severity
from detectors.intake.prices import NANO
from detectors.judging.accounts import Accounts, Booked
from detectors.judging.forgetting import Forgotten
from detectors.judging.judge import Candidate
from detectors.kind import Kind
from detectors.minutes.series import SeriesName


class Line(msgspec.Struct, frozen=True):
    """What was spent under one set of labels in one minute; ``minute`` is earlier than the bill's for late rows."""

    key: int
    """The number of the labels."""
    service: str
    team: str
    environment: str
    minute: int
    usd: float
    requests: int


class Bill(msgspec.Struct, frozen=True):
    """All that became known in a closed minute, of all shards: columns by number, and lines of what is asked for."""

    rows: Booked
    accounts: Accounts
    """What the numbers stand for."""
    undeclared: NDArray[np.bool_]
    """Rows that belong to no initiative."""
    experiments: list[tuple[Initiative, Line]]
    """What was spent for experiments, by labels."""

    @property
    def minute(self) -> int:
        """The minute that closed."""
        return self.rows.minute

    def lines(self, chosen: NDArray[np.bool_]) -> list[Line]:
        """Return some rows, by labels."""
        return lines_of(self.rows, self.accounts, chosen)


def lines_of(rows: Booked, accounts: Accounts, chosen: NDArray[np.bool_]) -> list[Line]:
    """Return some rows of a minute, by labels."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return []
    columns = (column[at].tolist() for column in (rows.key, rows.at, rows.nano, rows.requests))
    by_labels = sorted(
        (accounts.keys[key], minute, nano, n, key) for key, minute, nano, n in zip(*columns, strict=True)
    )
    return [
        Line(key, service, team, environment, minute, nano / NANO, requests)
        for (team, service, environment, *_), minute, nano, requests, key in by_labels
    ]


class Finding(msgspec.Struct, frozen=True):
    """What a rule found: where, what it costs, the sentence and what to do."""

    scope: dict[str, str]
    reason: str
    action: str
    numbers: dict[str, float]
    team: str = ""
    observed_usd_per_hour: float = 0.0
    usd_per_hour: float = 0.0
    """Dollars an hour above what was declared."""
    excess_usd: float = 0.0

    def candidate(self, title: str, minute: int) -> Candidate:
        """Return it as what incidents are made of."""
        return Candidate(
            detector=title,
            name=SeriesName(tuple(self.scope), tuple(self.scope.values())),
            team=self.team,
            principal="",
            minute=minute,
            score=1.0,
            driver="unknown",
            horizon_minutes=1,
            excess_usd=self.excess_usd,
            usd_per_hour=self.usd_per_hour,
            observed_usd_per_hour=self.observed_usd_per_hour,
            contributions_usd={},
            features={},
            before=0.0,
            after=0.0,
            active_minutes_since_deployment=0,
            numbers=self.numbers,
            reason=self.reason,
            action=self.action,
        )


class Rule(Kind, frozen=True, kw_only=True):
    """What every kind of rule has. What it finds is a ticket unless ``severity`` says otherwise.

    A rule's pages are outside the page budget: they are not by chance.
    """

    judge_every_minutes: ClassVar[int] = 15
    severity: Severity = "ticket"

    def start(self) -> Any:  # noqa: ANN401 — each kind has a state of its own
        """State before the first minute."""
        raise TypeError(f"{type(self).__name__} does not say what it remembers")

    def count(self, state: Any, bill: Bill) -> None:  # noqa: ANN401 — as above
        """Take a minute into the state."""
        raise TypeError(f"{type(self).__name__} does not say what it counts")

    def forget(self, state: Any, forgotten: Forgotten, accounts: Accounts) -> None:  # noqa: ANN401 — as above
        """Forget what the accounts have forgotten, where it is remembered by number or name; most remember neither.

        Parameters
        ----------
        state
            With all minutes before.
        forgotten
            Who stays, by the numbers that bills had until now.
        accounts
            With the numbers that bills have from now on.
        """

    def judge(
        self,
        state: Any,  # noqa: ANN401 — as above
        minute: int,
        accounts: Accounts,
        declared: tuple[Initiative, ...],
    ) -> list[Finding]:
        """Return all that holds now; it is found anew each time, for as long as it holds.

        Parameters
        ----------
        state
            With all minutes up to the present one; what is too old may be dropped from it.
        minute
            The present one, some :attr:`judge_every_minutes` after the last time.
        accounts
            All who spent lately.
        declared
            All initiatives of the organisation.
        """
        raise TypeError(f"{type(self).__name__} does not say how it judges")


def day_of(minute: int) -> str:
    """Return the day of a minute, for people.

    Examples
    --------
    >>> day_of(0)
    '1970-01-01'
    """
    return f"{moment_of(minute):%Y-%m-%d}"


def scope_of(initiative: Initiative) -> dict[str, str]:
    """Return where an initiative's spend is: what it matches by, and its id."""
    return {**{str(name): value for name, value in initiative.match.items()}, "initiative": initiative.id}
