"""Giving up: a process that cannot go on ends at once, and is started again by whoever watches over it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import structlog

GIVEN_UP = 70
"""Exit code of a process that must be started again."""

_log = structlog.get_logger(__name__)


def exit_at_once(error: BaseException) -> NoReturn:
    """End the process: what is in doubt is not carried on, a restart goes on from what was saved."""
    _log.critical("giving_up", error=repr(error), exc_info=error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(GIVEN_UP)
