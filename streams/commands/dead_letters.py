"""``burstwatch dead-letters``: what receivers of the embedded service have refused for good, and once more."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import fail, one_line

if TYPE_CHECKING:
    from streams.delivery.outbox import DeadLetter


def dead_letters(
    config: ConfigFolder = None,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Let them wait once more; of what is over, the end alone.")
    ] = False,
) -> None:
    """Show the alerts that a receiver of `burstwatch run` refused for good, with its answers."""
    path = Path(load_or_exit(config).state.path)
    from streams.delivery.sqlite_outbox import SqliteOutbox

    if not path.is_file():
        raise fail(f"no state in {path}: see state.path (on Kafka, dead letters are on the topic dead_letters)")
    outbox = SqliteOutbox(path, lambda alert, told: told, time.time)
    with one_line(sqlite3.Error):
        for letter in outbox.dead_letters():
            typer.echo(_in_words(letter))
        if send_again:
            typer.echo(f"{outbox.send_again()} wait to be sent again")
    outbox.close()


def _in_words(letter: DeadLetter) -> str:
    at = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(letter.at_seconds))
    alert = letter.alert
    return f"{at}  {letter.receiver}  {alert.alert_id} #{alert.sequence} {alert.state}: {letter.answer}"
