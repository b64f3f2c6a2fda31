"""``burstwatch run``: the embedded service, one process and one state file."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import asyncio
import os

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import one_line
from streams.commands.logs import set_up_logs


def run(config: ConfigFolder = None) -> None:
    """Take events by HTTP, detect, tell people. SIGTERM stops it cleanly, SIGHUP reads the configuration again."""
    settings = load_or_exit(config)
    from streams.embedded.service import SERVICE_ERRORS, serve

    set_up_logs()
    with one_line(*SERVICE_ERRORS):
        asyncio.run(serve(settings.folder, os.environ))
