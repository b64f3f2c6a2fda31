"""``burstwatch feedback``: say of an alert that it was intended, that it is fixed, or that it was a false alarm."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import fail, one_line, reaching_kafka

if TYPE_CHECKING:
    from detectors.events import Feedback
    from streams.configuration.settings import Settings


class Choice(StrEnum):
    """What somebody may decide."""

    INTENDED = "intended"
    FIXED = "fixed"
    FALSE = "false"


AlertId = typer.Argument(metavar="ALERT_ID", help="As the alert says it, such as bw-0123456789abcdef.")
Decided = typer.Argument(help="It was meant, it is mended, or it was a false alarm.")


def feedback(
    alert_id: Annotated[str, AlertId],
    decision: Annotated[Choice, Decided],
    by: Annotated[str, typer.Option(metavar="WHO", help="Who decides; kept with the decision.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the decision.")] = "",
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Put it on the topic feedback, not to burstwatch run.")
    ] = False,
    config: ConfigFolder = None,
) -> None:
    """Decide on an alert: intended and false end its pages and updates, false also teaches the page budget."""
    settings = load_or_exit(config)
    import msgspec

    from detectors.events import Feedback

    given = {"time": datetime.now(UTC), "alert_id": alert_id, "decision": decision.value, "by": by, "why": why}
    try:
        said = msgspec.convert(given, Feedback)
    except msgspec.ValidationError as error:
        raise fail(f"{error}: an alert's id looks like bw-0123456789abcdef, and --by must not be empty") from error
    if kafka:
        _publish(settings, said)
    else:
        _post(settings, said)
    typer.echo(f"{alert_id}: {decision.value}, as {by} said", err=True)


def _post(settings: Settings, said: Feedback) -> None:
    from streams.sources.feedback import FeedbackRefusedError, send_feedback

    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.http.host, settings.http.host)  # noqa: S104 — where to, not where to listen
    with one_line(FeedbackRefusedError):
        token = os.environ.get(settings.http.token_env)
        asyncio.run(send_feedback(f"http://{host}:{settings.http.port}", token, said))


def _publish(settings: Settings, said: Feedback) -> None:
    from streams.kafka.publish import publish_feedback

    with reaching_kafka(settings.kafka.brokers):
        asyncio.run(publish_feedback(settings.kafka, said))
