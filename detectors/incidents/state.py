"""The state of the incidents stage, and how it is written as pages: by views, minutes and services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from detectors.clock import NEVER
from detectors.events import Feedback
from detectors.frame import Key, shared
from detectors.incidents.life import Lives
from detectors.incidents.spending import Spending, nothing_spent
from detectors.judging.accounts import Accounts, services_of
from detectors.judging.judge import Judge
from detectors.rules.rulebook import Rulebook
from detectors.state.pages import ByMinute, ColumnByMinute, Growing, Pages, Part, page, read
from detectors.state.row_pages import Rows
from detectors.watch.reports import MinuteReport
from detectors.watch.series_pages import SeriesPages
from detectors.watch.series_state import SeriesWatchState


class IncidentsState(msgspec.Struct):
    """Reports that wait for all shards, the wide views, and the incidents."""

    closed_through: dict[int, int]
    waiting: dict[int, list[MinuteReport]]
    wide: SeriesWatchState
    lives: Lives
    decisions: dict[int, list[Feedback]] = {}
    """What people decided, by the minute in which it takes effect."""
    done: int = NEVER
    spent: int = NEVER
    """The last minute in which anybody spent."""
    refused: list[Feedback] = []
    """Decisions of the last step on alerts that nobody knows."""
    pooled: list[Any] = []
    """What each pooled detector remembers; encoded by its kind."""
    rules: dict[str, Any] = {}
    """What each rule remembers; encoded by its kind."""

    @property
    def labels(self) -> int:
        """How many labels there is room for: those that are remembered, and some that are forgotten."""
        return len(self.lives.spending.accounts.keys)

    @property
    def open_incidents(self) -> int:
        """How many incidents fire."""
        return len(self.lives.open)

    def knows(self, alert_id: str) -> bool:
        """Whether an alert can be decided on: its incident is open, or was lately."""
        lives = self.lives
        return alert_id in lives.ended or any(i.alert_id == alert_id for i in list(lives.open.values()))


class _Rest(msgspec.Struct, frozen=True):
    """What is small; the minutes of reports that wait and of what was spent lately, as they stand; room for keys."""

    state: IncidentsState
    waiting: list[int]
    lately: list[int]
    keys: int


class IncidentsPages:
    """What was written of the state of the incidents stage.

    A key's row of what was spent changes in the minutes in which something of it becomes known, and it remembers the
    last of them: so the rows that have changed are known as those of series are. Where keys are numbered anew, all that
    stands by their numbers is written anew.

    Parameters
    ----------
    empty
        The state before anything was seen.
    judge, rulebook
        Whose detectors and rules remember what they like.
    """

    def __init__(self, empty: IncidentsState, judge: Judge, rulebook: Rulebook) -> None:
        self._empty = empty
        self._judge = judge
        self._rulebook = rulebook
        self._wide = SeriesPages("wide")
        self._waiting = ByMinute("waiting", MinuteReport)
        self._keys = Growing("keys", list[Key])
        self._services = Growing("services", list[str])
        self._spent = Rows("spent")
        self._lately = ColumnByMinute("lately")
        self._numbered: tuple[list[Key], dict[str, int]] | None = None
        """The keys and services whose numbers were written: another list or dict holds other numbers."""
        self._last_minute = NEVER
        self._counted: int | None = None
        """The minute up to which it is written what changes with minutes alone."""
        self._gone: list[str] = []

    def changes(self, state: IncidentsState) -> Iterator[Part]:
        """Give what is not written yet."""
        yield from self._wide.changes(state.wide)
        yield from self._waiting.changes(state.waiting)
        yield from self._accounts(state.lives.spending)
        if self._counted != state.done:
            yield from page("pooled", self._judge.encode(state.pooled))
            for title, rule in self._rulebook.encode(state.rules).items():
                yield from page(f"rules/{title}", rule)
            self._counted = state.done
        yield from page("rest", self._rest(state))
        for name in self._gone:
            yield name, None
        self._gone = []

    def _accounts(self, spending: Spending) -> Iterator[Part]:
        accounts, numbered = spending.accounts, self._numbered
        keys_anew = numbered is not None and numbered[0] is not accounts.keys
        services_anew = numbered is not None and numbered[1] is not accounts.services
        yield from self._keys.changes(accounts.keys, anew=keys_anew)
        yield from self._services.changes(list(accounts.services), anew=services_anew)
        yield from page("spent_under", (accounts.first, accounts.last))
        changed = np.full(len(spending.spent.first_day), keys_anew)
        changed[: len(accounts.last)] |= accounts.last > self._last_minute
        yield from self._spent.changes([*spending.spent], changed, anew=keys_anew)
        yield from self._lately.changes(spending.lately)
        self._last_minute = int(accounts.last.max(initial=NEVER))
        self._numbered = accounts.keys, accounts.services

    def _rest(self, state: IncidentsState) -> _Rest:
        spending = state.lives.spending
        empty = self._empty.lives.spending
        accounts = spending.accounts
        sources = replace(empty.accounts, sources=accounts.sources, source_last=accounts.source_last)
        kept = replace(empty, accounts=sources)
        bare = replace(
            state, wide=self._empty.wide, waiting={}, lives=replace(state.lives, spending=kept), pooled=[], rules={}
        )
        return _Rest(bare, list(state.waiting), list(spending.lately), len(spending.spent.first_day))

    def load(self, pages: Pages) -> IncidentsState:
        """Return the state of its pages, which are taken out; a rule that is new begins anew."""
        rest = read(pages, "rest", _Rest)
        state, spending = rest.state, rest.state.lives.spending
        state.wide = self._wide.load(pages, self._empty.wide)
        state.waiting = self._waiting.load(pages, rest.waiting)
        (keys,) = self._keys.load(pages, [])
        keys = list(map(shared, keys))
        (services,) = self._services.load(pages, [])
        first, last = read(pages, "spent_under", tuple[np.ndarray, np.ndarray])
        numbers = {name: number for number, name in enumerate(services)}
        service, sources = services_of(keys, numbers, last), spending.accounts
        spending.accounts = Accounts(keys, numbers, sources.sources, service, first, last, sources.source_last)
        self._numbered = keys, numbers
        spending.spent = nothing_spent(rest.keys)
        self._spent.load(pages, [*spending.spent])
        spending.forget(np.flatnonzero(last == NEVER))  # their rows were written before that
        spending.lately = self._lately.load(pages, rest.lately)
        self._last_minute = int(last.max(initial=NEVER))
        state.pooled = self._judge.decode(read(pages, "pooled", list[bytes]))
        rules = {
            title: read(pages, f"rules/{title}", bytes) for title in self._empty.rules if f"rules/{title}" in pages
        }
        state.rules = self._rulebook.decode(rules)
        self._counted = state.done if rules.keys() == state.rules.keys() else None
        self._gone += pages
        return state
