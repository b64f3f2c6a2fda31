"""``burstwatch replay``: files through the same steps as the service, as fast as the machine can."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec
import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.counting import counting
from streams.commands.endings import one_line, refuse_to_overwrite

if TYPE_CHECKING:
    from detectors.intake.stage import Reject
    from streams.replay.replay import ReplaySummary

Input = typer.Argument(
    metavar="USAGE", help="Usage events in order of arrival: .ndjson, .ndjson.gz, or - for standard input."
)


def replay(  # noqa: PLR0913, PLR0917 — a command has as many as it has options
    usage: Annotated[Path, Input],
    alerts: Annotated[Path, typer.Option(metavar="OUT.ndjson", help="Where the alerts go.")],
    deployments: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Deployment events, in the same form.")
    ] = None,
    feedback: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Decisions on alerts, in the same form.")
    ] = None,
    initiatives: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read this instead of the configuration's initiatives.yaml.")
    ] = None,
    spend: Annotated[
        Path | None, typer.Option(metavar="OUT.ndjson", help="Where exact sums by day, service and model go.")
    ] = None,
    config: ConfigFolder = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Run files through detection by event time alone; write the alerts."""
    refuse_to_overwrite((alerts, spend), (usage, deployments, feedback, initiatives))
    settings = load_or_exit(config, initiatives)
    from streams.app import build_stages, plan_of
    from streams.configuration.catalogue import build_prices
    from streams.replay.replay import Listeners
    from streams.replay.replay import replay as replay_files
    from streams.replay.spend_sums import SpendSums

    stages = build_stages(plan_of(settings, shards=1), build_prices(settings.prices))
    rejected: Counter[str] = Counter()
    examples: dict[str, Reject] = {}

    def note(reject: Reject) -> None:
        rejected[reject.reason] += 1
        examples.setdefault(reject.reason, reject)

    sums = SpendSums()
    with one_line(OSError):
        _require(usage, deployments, feedback)  # before what was written yesterday is overwritten
    with one_line(OSError, EOFError), _opened(alerts) as out, counting("events", quiet) as count:
        tell = Listeners(
            alert=lambda alert: out.write(msgspec.json.encode(alert) + b"\n"),
            minute=sums.add if spend is not None else lambda report: None,
            reject=note,
            progress=count,
        )
        summary = replay_files(stages, usage, deployments, tell, feedback)
        if spend is not None:
            spend.write_bytes(sums.encode())
    if not quiet:
        typer.echo(_in_words(summary, rejected, alerts), err=True)
        for reject in examples.values():
            typer.echo(f"  first {reject.reason}: {_place_of(reject)}: {reject.detail}", err=True)


def _require(*given: Path | None) -> None:
    for path in given:
        if path is not None and str(path) != "-":
            path.stat()


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdout.buffer) if str(path) == "-" else path.open("wb")


def _place_of(reject: Reject) -> str:
    if reject.offset < 0:
        return reject.kind
    within = f", event {reject.index + 1}" if reject.index else ""
    return f"{reject.kind} line {reject.offset + 1}{within}"


def _in_words(summary: ReplaySummary, rejected: Counter[str], alerts: Path) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejected.most_common())
    return (
        f"{summary.taken:,} events taken ({summary.duplicates:,} came twice and count once, {summary.late:,} late, "
        f"{summary.unpriced:,} unpriced), {summary.rejected:,} rejected{f' ({reasons})' if reasons else ''}\n"
        f"{summary.alerts:,} alerts in {alerts}"
    )
