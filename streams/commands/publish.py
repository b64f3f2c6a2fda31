"""``burstwatch publish``: put files on a Kafka topic."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.counting import counting
from streams.commands.endings import fail, one_line, reaching_kafka


class Topic(StrEnum):
    """Topics that people may write to."""

    USAGE = "usage"
    DEPLOYMENTS = "deployments"
    FEEDBACK = "feedback"


Events = typer.Argument(
    metavar="FILE...",
    help="Files of events: .ndjson, .ndjson.gz, or - for standard input.",
)


def publish(
    files: Annotated[list[Path], Events],
    topic: Annotated[Topic, typer.Option(help="Which topic, without kafka.topic_prefix.")],
    config: ConfigFolder = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Put the lines of files on a Kafka topic, in their order."""
    settings = load_or_exit(config)
    for file in files:
        if str(file) != "-" and not file.is_file():
            raise fail(f"{file}: no such file")
    from streams.kafka.publish import PublishError
    from streams.kafka.publish import publish as publish_files

    with one_line(PublishError), reaching_kafka(settings.kafka.brokers), counting("messages", quiet) as count:
        total = publish_files(settings.kafka, topic.value, files, count)
    typer.echo(f"{total:,} {'message' if total == 1 else 'messages'} to {settings.kafka.topic(topic.value)}", err=True)
