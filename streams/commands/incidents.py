"""``burstwatch incidents``: which incidents are open, the dearest first; or all that is known of one of them."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import fail, one_line, reaching_kafka

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from detectors.events import Alert
    from streams.configuration.settings import Settings
    from streams.last_words import LastWords

_LEAST_ID_CHARACTERS = 11
"""Of an id in the table: ``bw-`` and eight more, unless it takes more to tell one from another."""
_PLAIN_CHARACTERS = 1000
"""A line where nobody watches: none is broken, so that it can be searched."""
_NARROW_CHARACTERS = 110
"""A terminal that shows fewer has no room for when each incident was last told of."""
_AS_OF = "as of (UTC)"

Asked = typer.Argument(metavar="ALERT_ID", help="Tell all of this one; the beginning of its id is enough.")


def incidents(
    alert_id: Annotated[str | None, Asked] = None,
    alerts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read alerts as replay writes them; - is standard input.")
    ] = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Those of the workers on Kafka, not of burstwatch run.")
    ] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Those that are over, too; the newest end first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The alerts as they are, one a line.")] = False,
    config: ConfigFolder = None,
) -> None:
    """Show which incidents are open, the dearest first; or why one was raised, what it costs and who approved it."""
    known = _read(alerts, kafka, config)
    with one_line(LookupError):
        asked = known.open() if alert_id is None else [known.of(alert_id)]
    if alert_id is None and show_all:
        asked += known.ended()
    if as_json:
        for alert in asked:
            typer.echo(msgspec.json.encode(alert))
    else:
        console = _console()
        is_narrow = console.width < _NARROW_CHARACTERS
        where_to = f"{' --kafka' if kafka else ''}{f' --config {config}' if config else ''}"
        told = _listed(asked, known, is_narrow) if alert_id is None else _explained(asked[0], where_to)
        console.print(*told, sep="\n")
    missing = known.missing or (known.missing_ends if show_all else "")
    if missing and alert_id is None:
        typer.echo(missing, err=True)


def _read(alerts: Path | None, kafka: bool, config: Path | None) -> LastWords:
    """Read a file, Kafka, or the state file of the embedded service."""
    if alerts is not None:
        if kafka:
            raise typer.BadParameter("--alerts reads a file and --kafka a topic: give one of them")
        return _in_file(alerts)
    settings = load_or_exit(config)
    return _on_kafka(settings) if kafka else _in_state(settings)


def _in_file(path: Path) -> LastWords:
    from streams.replay.alerts import NoAlertError, read_alerts

    with one_line(OSError, EOFError, NoAlertError):
        return read_alerts(path)


def _on_kafka(settings: Settings) -> LastWords:
    from streams.kafka.alerts import read_alerts

    with one_line(LookupError), reaching_kafka(settings.kafka.brokers):
        return asyncio.run(read_alerts(settings.kafka))


def _in_state(settings: Settings) -> LastWords:
    from streams.embedded.alerts import read_alerts
    from streams.embedded.store import StateError

    path = Path(settings.state.path)
    if not path.is_file():
        raise fail(f"no state in {path}: see state.path; where workers run, give --kafka, for a file --alerts FILE")
    with one_line(StateError):
        return read_alerts(path, settings.routes)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_CHARACTERS)


def _listed(alerts: Sequence[Alert], known: LastWords, is_narrow: bool) -> list[RenderableType]:
    """Return the table, and a line that says how many are open and how old the news is."""
    from streams.last_words import telling_apart
    from streams.wording import at_utc, counted

    opened = sum(alert.state != "resolved" for alert in alerts)
    are_open = (
        f"{counted(opened, 'incident')} {'is' if opened == 1 else 'are'} open" if opened else "no incident is open"
    )
    if not alerts:
        return [are_open]
    characters = telling_apart((alert.alert_id for alert in known.alerts), _LEAST_ID_CHARACTERS)
    rows = [{"id": alert.alert_id[:characters], **_row(alert)} for alert in alerts]
    names = [name for name in rows[0] if not is_narrow or name != _AS_OF]
    table = _table(*names)
    for row in rows:
        _add(table, *(row[name] for name in names))
    newest = max(alert.time for alert in alerts)
    return [table, _plain(f"{are_open}; the newest word is of {at_utc(newest)}")]


def _row(alert: Alert) -> dict[str, str]:
    """Return what the table says of an incident beside its id, by the names of columns."""
    from streams.notifiers.message import has_dollars, whole_place
    from streams.wording import moment, usd

    costs = has_dollars(alert)
    return {
        "state": f"{alert.severity}, {_state_of(alert)}",
        "since (UTC)": moment(alert.onset),
        "where": whole_place(alert),
        "what": _what(alert),
        ">so far": usd(alert.excess_usd) if costs else "not known",
        ">an hour": usd(alert.usd_per_hour) if costs and alert.state != "resolved" else "",
        _AS_OF: moment(alert.time),
        "blamed": _blamed(alert),
    }


def _state_of(alert: Alert) -> str:
    state = "came back" if alert.came_back else alert.state
    return f"{state}, {alert.decision.decision}" if alert.decision is not None else state


def _blamed(alert: Alert) -> str:
    """Return the deployment behind it and who approved that; nothing where none is blamed."""
    from streams.notifiers.message import approved_by, short

    deployment = alert.cause.deployment
    return (
        f"{short(deployment.id)}, {approved_by(deployment)}" if deployment else short(alert.cause.deployment_id or "")
    )


def _what(alert: Alert) -> str:
    """Return which driver moved; what was found, where it is no driver's or nobody knows what it costs."""
    from streams.notifiers.message import has_dollars
    from streams.wording import RISEN

    driver = alert.cause.driver
    is_known = driver != "unknown" and has_dollars(alert)
    return RISEN[driver] if is_known else alert.detector.replace("_", " ")


def _explained(alert: Alert, where_to: str) -> list[RenderableType]:
    """Return an alert as people get it, and what no message has room for."""
    from streams.notifiers.console import body_of, colour_of
    from streams.notifiers.message import message_of, short, tidy

    message = message_of(alert)
    said = f"burstwatch feedback {short(alert.alert_id)} intended --by WHO --why TEXT{where_to}"
    parts: list[RenderableType] = [body_of(message, colour_of(alert)), _plain(message.footer)]
    if alert.cause.evidence:
        parts += ["", _plain(f"Cause: {tidy(alert.cause.evidence)}")]
    if alert.cause.contributions_usd:
        parts += ["", _by_driver(alert)]
    if alert.numbers:
        parts += ["", _numbers(alert)]
    return [*parts, "", _plain(f"To decide on it: {said}   (or fixed, or false)")]


def _by_driver(alert: Alert) -> Table:
    """Return what each driver moved, the most first; the parts sum to what is in all."""
    from streams.wording import DRIVERS, signed_usd

    moved = sorted(alert.cause.contributions_usd.items(), key=lambda part: -abs(part[1]))
    table = _table("by driver, in the minutes that raised it", ">moved")
    for driver, part in moved:
        _add(table, DRIVERS.get(driver, driver), signed_usd(part))
    _add(table, "in all", signed_usd(sum(part for _, part in moved)))
    return table


def _numbers(alert: Alert) -> Table:
    from streams.wording import numbers_in_words

    table = _table("of the horizon that fired", ">seen", ">usual")
    for row in numbers_in_words(alert.numbers):
        _add(table, *row)
    return table


def _table(*names: str) -> Table:
    """Return a table without rows; the names of columns of numbers begin with ``>``."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        is_number = name.startswith(">")
        table.add_column(
            name.lstrip(">"),
            justify="right" if is_number else "left",
            no_wrap=is_number or name == "id",
            min_width=len("2026-10-09") if "UTC" in name else None,
            overflow="fold",
        )
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(_plain, cells))


def _plain(text: str) -> RenderableType:
    """Return a text of which nothing is markup, whoever made up the names in it."""
    from rich.text import Text

    from streams.notifiers.message import tidy

    return Text(tidy(text))
