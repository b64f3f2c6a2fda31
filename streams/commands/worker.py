"""``burstwatch worker``: a Kafka worker. Any number of them share the work."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import one_line, reaching_kafka
from streams.commands.logs import set_up_logs

Name = typer.Option(
    envvar="BURSTWATCH_WORKER",
    help="Of this worker, unlike any other's and the same after a restart: then a restart moves no partitions.",
)


def worker(
    config: ConfigFolder = None,
    name: Annotated[str | None, Name] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Listen here instead of at http.port.")] = None,
) -> None:
    """Take events from Kafka, detect, tell people. SIGTERM stops it cleanly, SIGHUP reads the routes again."""
    settings = load_or_exit(config)
    from streams.kafka.service import WORKER_ERRORS, work

    set_up_logs()
    with one_line(*WORKER_ERRORS), reaching_kafka(settings.kafka.brokers):
        asyncio.run(work(settings.folder, os.environ, name or None, port))
