"""Intake of a worker that is struck, at a point of its own; see :mod:`tests.faults.striking_worker`."""

from __future__ import annotations

import sys

from streams.commands.logs import set_up_logs
from streams.kafka.intake_process import take_in
from tests.faults.striking_worker import Strike

if __name__ == "__main__":
    set_up_logs()
    take_in(Strike(sys.argv[1]).failpoint)
