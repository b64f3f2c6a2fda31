"""``burstwatch demo``: a fortnight of AI usage through the real stages, its alerts, and a report."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.configured import ConfigFolder, load_or_exit
from streams.commands.endings import fail, one_line

SAMPLE = Path(__file__).parents[2] / "tests" / "sample"
"""The sample that a checkout carries; an installed package has none."""


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the alerts and the report go.")] = Path("out/demo"),
    sample: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Usage, deployments and initiatives.", show_default="tests/sample")
    ] = SAMPLE,
    config: ConfigFolder = None,
) -> None:
    """Replay a fortnight of real-shaped AI usage; print its alerts, write them and a report with pictures."""
    if not sample.is_dir():
        raise fail(f"no sample in {sample}: clone the repository and run make demo there, or name one with --sample")
    settings = load_or_exit(config, sample / "initiatives.yaml")
    from streams.demo import run_demo

    with one_line(OSError, EOFError):
        run_demo(out, sample, settings)
