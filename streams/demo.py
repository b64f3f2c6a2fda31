"""The demo: a fortnight through the real stages, told as it would reach a person, with a report at the end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from detectors.events import Alert, DeploymentEvent
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import Settings
from streams.notifiers.console import panel_of
from streams.notifiers.message import message_of
from streams.replay.lines import lines_of
from streams.replay.replay import Listeners, ReplaySummary, replay
from streams.report import SpendCounter, write_report
from streams.wording import counted

USAGE, DEPLOYMENTS, INITIATIVES = "usage.ndjson.gz", "deployments.ndjson", "initiatives.yaml"
"""The files of a sample."""
ALERTS, REPORT = "alerts.ndjson", "report.html"
"""The files that a demo writes."""


class DemoResult(msgspec.Struct, frozen=True):
    """What a demo read, raised and wrote."""

    summary: ReplaySummary
    alerts: tuple[Alert, ...]
    files: tuple[Path, ...]


def run_demo(out: Path, sample: Path, settings: Settings, console: Console | None = None) -> DemoResult:
    """Replay a sample through the stages as configured; print its alerts, write them and the report.

    Parameters
    ----------
    out
        Folder that :data:`ALERTS` and :data:`REPORT` go to; made if it is not there.
    sample
        Folder with :data:`USAGE` and :data:`DEPLOYMENTS`.
    settings
        The configuration, loaded with the sample's :data:`INITIATIVES`.
    console
        Where to print; standard output if none is given.

    Raises
    ------
    OSError
        If a file of the sample is missing, or one of the demo's cannot be written.
    """
    console = console or Console()
    out.mkdir(parents=True, exist_ok=True)
    usage, deployments = sample / USAGE, sample / DEPLOYMENTS
    alerts: list[Alert] = []
    spend = SpendCounter()
    columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress, (out / ALERTS).open("wb") as file:
        task = progress.add_task("Replaying", total=sum(1 for _ in lines_of(usage)))

        def tell(alert: Alert) -> None:
            alerts.append(alert)
            file.write(msgspec.json.encode(alert) + b"\n")
            progress.console.print(_as_it_reaches_a_person(alert))

        listeners = Listeners(alert=tell, minute=spend.add, progress=lambda more: progress.advance(task, more))
        stages = build_stages(plan_of(settings, shards=1), build_prices(settings.prices))
        summary = replay(stages, usage, deployments, listeners)
    made = list(_deployments_in(deployments))
    write_report(out / REPORT, alerts, spend.by_minute(), made, settings.initiatives, summary)
    result = DemoResult(summary, tuple(alerts), (out / ALERTS, out / REPORT))
    _print_end(console, result)
    return result


def _as_it_reaches_a_person(alert: Alert) -> RenderableType:
    """Return a page in full, and of everything that wakes nobody the headline."""
    if alert.severity == "page" and alert.state == "firing":
        return panel_of(alert)
    colour = "green" if alert.state == "resolved" else "dim"
    # Padded, not bare: the console would join bare texts and forget that they must not wrap.
    return Padding(Text(message_of(alert).headline, style=colour, overflow="ellipsis", no_wrap=True), (0, 0, 0, 2))


def _deployments_in(path: Path) -> list[DeploymentEvent]:
    """Return a file's deployments; what intake refused is left out here too."""
    made: list[DeploymentEvent] = []
    decoder = msgspec.json.Decoder(DeploymentEvent)
    for line in lines_of(path):
        with suppress(msgspec.DecodeError):
            made.append(decoder.decode(line))
    return made


def _print_end(console: Console, result: DemoResult) -> None:
    summary = result.summary
    paged = {alert.alert_id for alert in result.alerts if alert.severity == "page"}
    others = {alert.alert_id for alert in result.alerts} - paged
    read = f"{summary.taken:,} events: {summary.duplicates:,} came twice and count once, {summary.late:,} came late"
    console.print(Text(f"Read {read}. {counted(len(paged), 'incident')} paged, {len(others)} more woke nobody."))
    console.print(Text("Written:"))
    told = {ALERTS: "every alert, one JSON object a line", REPORT: "what burned and why: open it in a browser"}
    for path in result.files:
        console.print(Text(f"  {path}  ({path.stat().st_size / 1000:,.0f} kB)  {told[path.name]}"), soft_wrap=True)
