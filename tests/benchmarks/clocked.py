"""Seconds of one core: the best of several runs, since what else a machine does can only make a run slower."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def best_of(runs: int, work: Callable[[], T]) -> tuple[float, T]:
    """Return the least processor seconds of this process, and what the last run gave."""
    least, given = float("inf"), None
    for _ in range(runs):
        began = time.process_time()
        given = work()
        least = min(least, time.process_time() - began)
    assert given is not None
    return least, given


def rates(rows: Iterable[tuple[str, float, float]], unit: str) -> str:
    """Return a Markdown table of (what, how many, seconds): a rate each, and its ratio to the last, the peer."""
    measured = [(what, count / seconds) for what, count, seconds in rows]
    lines = [f"| {what} | {rate:,.0f} | {rate / measured[-1][1]:.2f} |" for what, rate in measured]
    return "\n".join([f"| | {unit} a second | against the peer |", "|---|---|---|", *lines])
