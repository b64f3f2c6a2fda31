"""``burstwatch status``: how far each partition is, who owns it, and how old its checkpoint is."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import one_line, reaching_kafka

if TYPE_CHECKING:
    from streams.kafka.status import PartitionStatus


def status(
    config: ConfigFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")] = False,
) -> None:
    """Show lag, watermark, owner and age of the checkpoint of each partition on Kafka."""
    settings = load_or_exit(config)
    from stamina.instrumentation import set_on_retry_hooks

    from streams.kafka.status import read_status

    set_on_retry_hooks(())  # what is printed is for people or scripts, not a log
    with one_line(LookupError), reaching_kafka(settings.kafka.brokers):
        rows = asyncio.run(read_status(settings.kafka))
    now = time.time()
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_in_figures(row, now)))
        return
    _print_table(rows, now)


def _in_figures(row: PartitionStatus, now: float) -> dict[str, object]:
    return {
        "stage": row.stage,
        "partition": row.partition,
        "lag": row.lag,
        "watermark_age_seconds": None if row.event_minute is None else round(now - row.event_minute * 60),
        "checkpoint_age_seconds": None if row.checkpoint_ms is None else round(now - row.checkpoint_ms / 1000, 1),
        "owner": row.owner,
        "lease_age_seconds": None if row.held_since_ms is None else round(now - row.held_since_ms / 1000, 1),
    }


def _print_table(rows: list[PartitionStatus], now: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("stage", "partition", "lag", "events until", "checkpoint", "owner", "since"):
        table.add_column(name, justify="right" if name in ("partition", "lag") else "left")
    for row in rows:
        until = "" if row.event_minute is None else time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(row.event_minute * 60))
        saved = "" if row.checkpoint_ms is None else f"{now - row.checkpoint_ms / 1000:,.0f} s ago"
        since = "" if row.held_since_ms is None else f"{now - row.held_since_ms / 1000:,.0f} s"
        never = "never" if row.stage.split()[0] != "intake" else ""
        table.add_row(row.stage, str(row.partition), f"{row.lag:,}", until, saved or never, row.owner or "", since)
    Console().print(table)
