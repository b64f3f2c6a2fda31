"""A command as a child of its own: how long it took, and how much memory it ever held."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """What a command used."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


class ChildFailedError(Exception):
    """A command ended badly; the text is the end of what it said."""


def measure(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end.

    Linux counts what this process holds as the child's until it begins: be small when you call.

    Parameters
    ----------
    command
        Program and arguments.
    log
        Where all that it says goes.
    environment
        Variables besides those of this process.
    """
    with log.open("wb") as said:
        began = time.monotonic()
        with subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, **(environment or {})}) as child:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
    if child.returncode:
        words = " ".join(map(str, command))
        raise ChildFailedError(f"{words} ended with {child.returncode}:\n{log.read_text()[-2000:]}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
