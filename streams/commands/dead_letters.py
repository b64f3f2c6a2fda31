"""``burstwatch dead-letters``: what receivers have refused for good, and once more."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import fail, one_line, reaching_kafka

if TYPE_CHECKING:
    from streams.configuration.settings import Settings
    from streams.delivery.outbox import DeadLetter

Chosen = typer.Argument(metavar="ALERT_ID...", help="Those of these alone; the beginning of an id is enough.")
_NONE = (
    "no dead letter is of an alert whose id begins with {!r}: leave ids out to see all there are; "
    "what was sent again is one no more"
)
SendAgain = Callable[[list["DeadLetter"]], None]


def dead_letters(
    alert_ids: Annotated[list[str] | None, Chosen] = None,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Let them wait once more; of what is over, the end alone.")
    ] = False,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Those of the workers on Kafka, not of burstwatch run.")
    ] = False,
    config: ConfigFolder = None,
) -> None:
    """Show the alerts that a receiver refused for good, with its answers, and send them again once it is mended."""
    settings = load_or_exit(config)
    with _on_kafka(settings) if kafka else _in_file(settings) as (letters, send):
        with one_line(LookupError):
            chosen = _chosen(letters, alert_ids or ())
        for letter in chosen:
            typer.echo(_in_words(letter))
        if send_again:
            _send_again(chosen, send, settings.routes.receivers)


@contextmanager
def _in_file(settings: Settings) -> Iterator[tuple[list[DeadLetter], SendAgain]]:
    from streams.delivery.sqlite_outbox import SqliteOutbox

    path = Path(settings.state.path)
    if not path.is_file():
        raise fail(f"no state in {path}: see state.path; where workers run, give --kafka")
    outbox = SqliteOutbox(path, lambda alert, told: told, time.time)
    try:
        with one_line(sqlite3.Error):
            yield outbox.dead_letters(), outbox.send_again
    finally:
        outbox.close()


@contextmanager
def _on_kafka(settings: Settings) -> Iterator[tuple[list[DeadLetter], SendAgain]]:
    from streams.kafka.dead_letters import read_dead_letters
    from streams.kafka.send_again import ask_again

    with one_line(LookupError), reaching_kafka(settings.kafka.brokers):
        letters = asyncio.run(read_dead_letters(settings.kafka))
        yield letters, lambda asked: asyncio.run(ask_again(settings.kafka, asked))


def _chosen(letters: Sequence[DeadLetter], beginnings: Sequence[str]) -> list[DeadLetter]:
    """Return the letters of the alerts whose ids begin so, of all where none is named.

    Raises
    ------
    LookupError
        If no alert's id begins so, or several do.
    """
    from streams.last_words import meant_by

    known = {letter.alert.alert_id for letter in letters}
    ids = {meant_by(beginning, known, _NONE.format(beginning)) for beginning in beginnings} or known
    return [letter for letter in letters if letter.alert.alert_id in ids]


def _send_again(letters: Sequence[DeadLetter], send: SendAgain, receivers: Collection[str]) -> None:
    """Let letters wait once more, but those whose receiver is configured no more: nobody would take them."""
    due = [letter for letter in letters if letter.is_over or letter.receiver in receivers]
    lost = {letter.receiver for letter in letters if letter not in due}
    new = [letter for letter in due if not letter.is_asked]
    if new:
        send(new)
    over = sum(letter.is_over for letter in due)
    let_go = f"; {over} let go, since a later word says that it is over" if over else ""
    typer.echo(f"{len(due) - over} wait to be sent again{let_go}")
    if lost:
        names = ", ".join(sorted(lost))
        typer.echo(f"not sent: routes.yaml has no receiver {names} any more; put it back, then send again", err=True)


def _in_words(letter: DeadLetter) -> str:
    at = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(letter.at_seconds))
    alert = letter.alert
    asked = " (asked for: waits for a worker)" if letter.is_asked else ""
    return f"{at}  {letter.receiver}  {alert.alert_id} #{alert.sequence} {alert.state}: {letter.answer}{asked}"
