"""Silence: which raw partitions have nothing to say, and how far the minutes may move on without them."""

from __future__ import annotations

from typing import NamedTuple

from detectors.clock import NEVER
from detectors.intake.admission import IntakeSettings


class RawProgress(NamedTuple):
    """How far a raw partition is: whether it is read to its end, where that is, its highest event minute."""

    partition: int
    is_drained: bool
    end: int
    high_minute: int


class Idleness:
    """Decides on heartbeats.

    A raw partition that is read to its end and has had nothing new for ``idle_seconds`` is idle. While others are
    busy, it follows the slowest of them. When all are idle, what is pending closes; and while the events' time is
    that of the clock, minutes go on closing with it, so that silence is seen.

    Examples
    --------
    >>> idleness = Idleness(10, IntakeSettings())
    >>> def at(now, *ends):
    ...     progress = [RawProgress(n, True, end, minute) for n, (end, minute) in enumerate(ends)]
    ...     return idleness.heartbeats(progress, now, 0)
    >>> at(0, (5, 100), (0, NEVER)), at(9, (7, 103), (0, NEVER))
    ({}, {})
    >>> at(10, (9, 105), (0, NEVER)), at(21, (9, 105), (0, NEVER))
    ({1: 105}, {0: 106, 1: 106})
    """

    def __init__(self, idle_seconds: float, limits: IntakeSettings) -> None:
        self._idle_seconds = idle_seconds
        self._limits = limits
        self._since: dict[int, tuple[int, float]] = {}
        self._told: dict[int, int] = {}

    def forget(self) -> None:
        """Begin anew: somebody else has watched meanwhile."""
        self._since.clear()
        self._told.clear()

    def heartbeats(self, progress: list[RawProgress], monotonic: float, now_seconds: float) -> dict[int, int]:
        """Return the minute up to which each idle partition is to be taken as silent, where that is news."""
        idle = {one.partition for one in progress if self._is_idle(one, monotonic)}
        highs = [one.high_minute for one in progress if one.partition not in idle]
        highest = max((one.high_minute for one in progress), default=NEVER)
        if highest == NEVER:
            return {}
        minute = min(highs) if highs else self._all_idle_minute(highest, now_seconds)
        news = {
            one.partition: minute
            for one in progress
            if one.partition in idle and minute > max(one.high_minute, self._told.get(one.partition, NEVER))
        }
        self._told |= news
        return news

    def _is_idle(self, one: RawProgress, monotonic: float) -> bool:
        end, since = self._since.get(one.partition, (-1, monotonic))
        if end != one.end or not one.is_drained:
            self._since[one.partition] = (one.end, monotonic)
            return False
        return monotonic - since >= self._idle_seconds

    def _all_idle_minute(self, highest: int, now_seconds: float) -> int:
        pending = highest + self._limits.allowed_lateness_minutes + 1
        by_clock = int((now_seconds - self._idle_seconds) // 60)
        return max(pending, by_clock) if by_clock <= highest + self._limits.accept_late_minutes else pending
