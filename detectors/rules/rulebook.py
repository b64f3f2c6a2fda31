"""The rules of an organisation side by side: closed minutes in, findings out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.events import Severity
from detectors.judging.accounts import Accounts, Booked
from detectors.judging.forgetting import Forgotten
from detectors.judging.intent import Portfolio, has_expired, is_current
from detectors.judging.judge import Candidate
from detectors.rules.rule import Bill, Rule, lines_of
from detectors.state import codec


class Rulebook:
    """Runs the rules.

    Parameters
    ----------
    rules
        Those that are on.
    portfolio
        What was declared.
    """

    def __init__(self, rules: tuple[Rule, ...], portfolio: Portfolio) -> None:
        self._rules = rules
        self._portfolio = portfolio
        experiments = [initiative.intent == "experiment" for initiative in portfolio.initiatives]
        self._is_experiment = np.array([*experiments, False])
        """By place in the portfolio, the last one of what belongs to no initiative."""
        self._declared: tuple[int, NDArray[np.bool_]] = (-1, self._is_experiment)
        """A period, and what counts as declared in it; by place, too."""

    def start(self) -> dict[str, Any]:
        """Return each rule's state before the first minute."""
        return {rule.title: rule.start() for rule in self._rules}

    def encode(self, states: dict[str, Any]) -> dict[str, bytes]:
        """Bytes that :meth:`decode` reads."""
        return {title: codec.encode(state) for title, state in states.items()}

    def decode(self, data: dict[str, bytes]) -> dict[str, Any]:
        """Return the states that :meth:`encode` wrote; a rule that is new begins anew."""
        return {
            title: codec.decode(data[title], type(state)) if title in data else state
            for title, state in self.start().items()
        }

    def step(
        self, states: dict[str, Any], before: int, booked: Booked, accounts: Accounts
    ) -> list[tuple[Candidate, Severity]]:
        """Take a minute that somebody spent in, and judge where it is time; the states change in place.

        Parameters
        ----------
        states
            By rule.
        before
            The last minute before it that was given.
        booked, accounts
            What became known in the minute, and what its numbers stand for.
        """
        if not self._rules:
            return []
        initiatives, of_key = self._portfolio.initiatives, self._portfolio.of_keys(accounts, booked.minute)
        own = of_key[booked.key]
        of_experiments = lines_of(booked, accounts, self._is_experiment[own])
        experiments = [(initiatives[of_key[line.key]], line) for line in of_experiments]
        bill = Bill(booked, accounts, ~self._are_declared(booked.minute)[own], experiments)
        found = []
        for rule in self._rules:
            rule.count(states[rule.title], bill)
            if bill.minute // rule.judge_every_minutes > before // rule.judge_every_minutes:
                findings = rule.judge(states[rule.title], bill.minute, accounts, initiatives)
                found += [(finding.candidate(rule.title, bill.minute), rule.severity) for finding in findings]
        return found

    def forget(self, states: dict[str, Any], forgotten: Forgotten, accounts: Accounts) -> None:
        """Let every rule forget what the accounts have forgotten; the states change in place."""
        for rule in self._rules:
            rule.forget(states[rule.title], forgotten, accounts)

    def _are_declared(self, minute: int) -> NDArray[np.bool_]:
        """Whether what belongs to each initiative counts as declared; an expired experiment has a rule of its own."""
        period = self._portfolio.period(minute)
        if period != self._declared[0]:
            declared = [
                is_current(one, minute) or (one.intent == "experiment" and has_expired(one, minute))
                for one in self._portfolio.initiatives
            ]
            self._declared = period, np.array([*declared, False])
        return self._declared[1]
