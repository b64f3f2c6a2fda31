"""Memory that was freed is used again, without asking the system for it."""

from __future__ import annotations

import platform
import subprocess
import sys

_COLUMNS_OF_SOME_MINUTES = """
import resource
import numpy as np
from streams.memory import keep_freed_memory

told = {keeps} and keep_freed_memory()
for minute in range(120):
    columns = [np.ones(100_000) for _ in range(8)]
    if minute == 19:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del columns
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _told_and_page_faults(*, keeps: bool) -> tuple[bool, int]:
    code = _COLUMNS_OF_SOME_MINUTES.format(keeps=keeps)
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    told, faults = map(int, run.stdout.split())
    return bool(told), faults


def test_columns_of_the_next_minute_take_the_place_of_the_last_ones() -> None:
    told, faults = _told_and_page_faults(keeps=True)
    _, faults_before = _told_and_page_faults(keeps=False)
    assert told == (platform.libc_ver()[0] == "glibc"), "only this library can be told"
    assert faults * 10 < faults_before or not told
