"""A real worker that is struck at a named point: killed, or stopped as if the machine had paused.

``python -m tests.faults.striking_worker CONFIG NAME PORT [POINT@COUNT:kill|pause|lose] [--without SAFEGUARD]``. POINT
may have wildcards (``watch-*: after send``); to lose an input it is the name of a lane (``watch-1``). A strike is told
on standard error, so that the test can go on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from streams.commands.logs import set_up_logs
from streams.configuration.settings import load
from streams.kafka.agents import Holding, Message
from streams.kafka.service import WorkerService
from tests.faults.safeguards import SAFEGUARDS

SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


class Strike:
    """Strikes once, at a point that is passed for the nth time: all of the process group.

    Parameters
    ----------
    told
        ``POINT@COUNT:HOW``; empty never strikes.
    """

    def __init__(self, told: str) -> None:
        self._point, _, rest = told.partition("@")
        count, _, how = rest.partition(":")
        self._left = int(count or 0)
        self._how = how

    async def failpoint(self, point: str) -> None:
        """Hear of a point that is passed."""
        if self._how != "lose" and self._is_now(point):
            os.killpg(0, SIGNALS[self._how])

    def lose_an_input(self) -> None:
        """Let one message of a lane vanish between Faust and the agent."""
        take = Holding.take

        async def lossy(holding: Holding, message: Message) -> None:
            if self._how != "lose" or not self._is_now(holding.lease.lane.name):
                await take(holding, message)

        Holding.take = lossy  # type: ignore[method-assign,assignment]  # that is the fault

    def _is_now(self, point: str) -> bool:
        if not (self._left and fnmatchcase(point, self._point)):
            return False
        self._left -= 1
        if not self._left:
            os.write(sys.stderr.fileno(), f"struck at {point}\n".encode())  # nothing is flushed after a kill
        return not self._left


def main() -> None:
    """Work until struck or told to stop."""
    words = argparse.ArgumentParser()
    words.add_argument("config", type=Path)
    words.add_argument("name")
    words.add_argument("port", type=int)
    words.add_argument("strike", nargs="?", default="")
    words.add_argument("--without", choices=SAFEGUARDS)
    given = words.parse_args()
    set_up_logs()
    if given.without:
        SAFEGUARDS[given.without]()
    strike = Strike(given.strike)
    strike.lose_an_input()
    intake = (sys.executable, "-m", "tests.faults.striking_intake", given.strike)
    service = WorkerService(
        load(given.config), os.environ, given.name, given.port, strike.failpoint, intake_command=intake
    )
    asyncio.run(service.run())


if __name__ == "__main__":
    main()
