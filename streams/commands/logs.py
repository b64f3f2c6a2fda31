"""Where a service's log goes: standard error, for people on a terminal and as JSON lines everywhere else."""

# ruff: noqa: PLC0415 — what is heavy is imported when a service starts

from __future__ import annotations

import logging
import sys


def set_up_logs() -> None:
    """Send the log of Burstwatch and of its libraries to standard error; libraries speak from warnings on."""
    import structlog
    from structlog.typing import Processor

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # The default one shows the values of variables, and secrets with them.
    people: list[Processor] = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    machines: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    last = people if sys.stderr.isatty() else machines
    structlog.configure([*shared, *last], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
