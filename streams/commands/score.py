"""``burstwatch score``: any one metric in a CSV file, row by row, by what it has shown before; nothing to set."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer

from streams.commands.endings import one_line, refuse_to_overwrite

_PERIOD_SECONDS = {"day": 86_400.0, "week": 604_800.0, "month": 2_629_746.0}


def score(
    series: Annotated[
        Path, typer.Argument(metavar="SERIES.csv", help="A row a value, oldest first; - for standard input.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="SCORES.csv", help="Where the rows and their scores go; - to print them.")
    ],
    time: Annotated[str | None, typer.Option(metavar="COL", help="The column of times; guessed if not given.")] = None,
    value: Annotated[
        str | None, typer.Option(metavar="COL", help="The column of values; guessed if not given.")
    ] = None,
    pages: Annotated[float, typer.Option(min=0.01, help="How many pages you are willing to get.")] = 3.0,
    per: Annotated[Literal["day", "week", "month"], typer.Option(help="In how long.")] = "week",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Score one metric: each row in [0, 1] by the rows before it alone, and whether it would page."""
    from threadpoolctl import threadpool_limits

    from streams.replay.score_series import lines_of_summary, score_series
    from streams.replay.series_file import SeriesError, open_series

    refuse_to_overwrite([out], [series], "name another file with --out")
    with one_line(OSError, SeriesError), open_series(series, time, value) as opened:
        if opened.columns.guessed and not quiet:
            typer.echo(_guess_in_words(opened.columns.names, opened.columns.time, opened.columns.value), err=True)
        # One thread: the matrices are small, and threads that wait for each other take ten times as long.
        with _opened(out) as file, threadpool_limits(1):
            told = score_series(opened, file, pages, _PERIOD_SECONDS[per])
    if not quiet:
        for line in lines_of_summary(told, _PERIOD_SECONDS[per]):
            typer.echo(line.replace("periods", f"{per}s"), err=True)


def _opened(path: Path) -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdout) if str(path) == "-" else path.open("w", encoding="utf-8", newline="")


def _guess_in_words(names: list[str], time: int | None, value: int) -> str:
    times = "no column looks like times: rows count as minutes" if time is None else f"times from {names[time]}"
    return f"reading values from {names[value]}, {times} (--value and --time name others)"
