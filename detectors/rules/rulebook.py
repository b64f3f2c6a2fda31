"""The rules of an organisation side by side: closed minutes in, findings out."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors import codec, intent
from detectors.accounts import Accounts, Booked
from detectors.events import Initiative, Severity
from detectors.frame import DIMENSIONS, Key
from detectors.judge import Candidate
from detectors.rules.rule import Bill, Rule, lines_of


class Rulebook:
    """Runs the rules.

    Parameters
    ----------
    rules
        Those that are on.
    initiatives
        What was declared.
    """

    def __init__(self, rules: tuple[Rule, ...], initiatives: tuple[Initiative, ...]) -> None:
        self._rules = rules
        self._initiatives = initiatives
        self._known_of: list[Key] | None = None
        self._experiments: dict[int, Initiative] = {}
        """By key."""
        self._is_declared, self._is_experiment = np.zeros((2, 0), bool)

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
        self._know(accounts)
        of_experiments = lines_of(booked, accounts, self._is_experiment[booked.key])
        experiments = [(self._experiments[line.key], line) for line in of_experiments]
        bill = Bill(booked, accounts, ~self._is_declared[booked.key], experiments)
        found = []
        for rule in self._rules:
            rule.count(states[rule.title], bill)
            if bill.minute // rule.judge_every_minutes > before // rule.judge_every_minutes:
                findings = rule.judge(states[rule.title], bill.minute, accounts, self._initiatives)
                found += [(finding.candidate(rule.title, bill.minute), rule.severity) for finding in findings]
        return found

    def _know(self, accounts: Accounts) -> None:
        """Look up the initiatives of keys that are new."""
        if self._known_of is not accounts.keys:
            self._known_of, self._experiments = accounts.keys, {}
            self._is_declared, self._is_experiment = np.zeros((2, 0), bool)
        known = len(self._is_declared)
        if known == len(accounts.keys):
            return
        labels = (dict(zip(DIMENSIONS, key, strict=True)) for key in accounts.keys[known:])
        new = [intent.initiative_of(self._initiatives, each) for each in labels]
        experiments = {known + n: each for n, each in enumerate(new) if each and each.intent == "experiment"}
        self._experiments |= experiments
        self._is_declared = np.append(self._is_declared, [each is not None for each in new])
        self._is_experiment = np.append(self._is_experiment, [known + n in experiments for n in range(len(new))])
