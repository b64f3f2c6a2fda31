"""``burstwatch topics``: make Kafka's topics, and say what is wrong with those that are there."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

from typing import Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import FAILED, one_line, reaching_kafka

topics = typer.Typer(help="Make or check Kafka's topics.", no_args_is_help=True)


@topics.command()
def create(config: ConfigFolder = None) -> None:
    """Make the topics that are missing; leave the others as they are."""
    settings = load_or_exit(config)
    from streams.kafka.topics import create_topics

    with reaching_kafka(settings.kafka.brokers):
        made = create_topics(settings.kafka, settings.intake.shards)
    typer.echo(f"made {', '.join(made)}" if made else "all topics are there")


@topics.command("check")
def check_them(config: ConfigFolder = None) -> None:
    """Say what is wrong with the topics; exit with 1 if anything is."""
    settings = load_or_exit(config)
    from streams.kafka.topics import check_topics

    with reaching_kafka(settings.kafka.brokers):
        faults = check_topics(settings.kafka, settings.intake.shards)
    for fault in faults:
        typer.echo(str(fault))
    if faults:
        raise typer.Exit(FAILED)
    typer.echo("all topics are as they must be")


@topics.command("rebuild")
def rebuild(
    config: ConfigFolder = None,
    from_now: Annotated[bool, typer.Option(help="Learn from what comes, not from what `usage` still holds.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete what the stages made, states and alerts too, and make it again from the input. Stop all workers first."""
    settings = load_or_exit(config)
    from streams.kafka.topics import MADE_BY_STAGES, StillRunningError, rebuild_topics

    names = ", ".join(settings.kafka.topic(name) for name in MADE_BY_STAGES)
    if not yes:
        typer.confirm(f"Delete {names}?", abort=True)
    with one_line(StillRunningError), reaching_kafka(settings.kafka.brokers):
        made = rebuild_topics(settings.kafka, settings.intake.shards, from_now)
    typer.echo(f"made anew, empty: {', '.join(made)}")
