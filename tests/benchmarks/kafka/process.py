"""What a running process and those that it has started use: processor seconds and memory, moment by moment."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.1


class ProcessClock:
    """Notes every tenth of a second what a process and its own have used so far and hold; for use in ``with``.

    The libraries that all of them have mapped are in memory once, and counted once.

    Parameters
    ----------
    process
        Its id.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._at: list[float] = []
        self._used: list[float] = []
        self._held: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ProcessClock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def cpu_seconds(self, first: float, last: float) -> float:
        """Return what it used from one moment to another (Unix seconds)."""
        return self._used_by(last) - self._used_by(first)

    def most_mb(self, first: float, last: float) -> float:
        """Return the most memory that it was seen to hold from one moment to another (Unix seconds)."""
        return max(self._held[bisect_left(self._at, first) : bisect_right(self._at, last)], default=0.0)

    def _used_by(self, moment: float) -> float:
        return self._used[max(bisect_right(self._at, moment) - 1, 0)]

    def _run(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            try:
                children = _children(self._process)
                used = cpu_seconds(self._process) + sum(map(cpu_seconds, children))
                held = _held_mb(self._process, "VmRSS") + sum(_held_mb(child, "RssAnon") for child in children)
            except (FileNotFoundError, ProcessLookupError, StopIteration):
                return  # it has ended
            self._at.append(time.time())
            self._used.append(used)
            self._held.append(held)


def cpu_seconds(process: int) -> float:
    """Return the processor seconds that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _held_mb(process: int, what: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024
