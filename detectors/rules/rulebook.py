"""The rules of an organisation side by side: closed minutes in, findings out."""

from __future__ import annotations

from typing import Any

from detectors import codec, intent
from detectors.events import Initiative, Severity
from detectors.frame import COST, DIMENSIONS, REQUESTS, Key
from detectors.judge import Candidate
from detectors.prices import NANO
from detectors.rules.rule import Bill, Line, Rule
from detectors.spends import Spend

_KEYS_KEPT = 65_536


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
        self._known: dict[Key, tuple[dict[str, str], Initiative | None]] = {}

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
        self, states: dict[str, Any], minute: int, before: int, spends: list[Spend], sources: list[tuple[str, str]]
    ) -> list[tuple[Candidate, Severity]]:
        """Take a minute that somebody spent in, and judge where it is time; the states change in place.

        Parameters
        ----------
        states
            By rule.
        minute, before
            The minute, and the last one before it that was given.
        spends, sources
            What was spent in it, and (source, service) of all that sent something.
        """
        if not self._rules:
            return []
        bill = Bill(minute, [self._line(*row) for row in _rows(spends)], sources)
        found = []
        for rule in self._rules:
            rule.count(states[rule.title], bill)
            if minute // rule.judge_every_minutes > before // rule.judge_every_minutes:
                findings = rule.judge(states[rule.title], minute, self._initiatives)
                found += [(finding.candidate(rule.title, minute), rule.severity) for finding in findings]
        return found

    def _line(self, key: Key, at: int, nano: int, requests: int) -> Line:
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KEYS_KEPT:
                self._known.clear()
            labels = dict(zip(DIMENSIONS, key, strict=True))
            known = self._known[key] = labels, intent.initiative_of(self._initiatives, labels)
        labels, initiative = known
        return Line(labels["service"], labels["team"], labels["environment"], at, nano / NANO, requests, initiative)


def _rows(spends: list[Spend]) -> list[tuple[Key, int, int, int]]:
    """Key, event minute, nano-dollars and requests of all shards' sums together, by key."""
    rows: list[tuple[Key, int, int, int]] = []
    for spend in spends:
        keys = [spend.keys[place] for place in spend.key.tolist()]
        columns = spend.minute, spend.values[COST], spend.values[REQUESTS]
        rows += zip(keys, *(column.tolist() for column in columns), strict=True)
    return sorted(rows)
