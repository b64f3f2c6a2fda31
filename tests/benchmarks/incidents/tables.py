"""The figures as Markdown, to read in a terminal and to paste into the documentation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tests.benchmarks.child import Usage
from tests.benchmarks.incidents.runs import Run

Row = dict[str, Any]
_COLUMNS = (
    ("recall", "recall"),
    ("median minutes", "median_minutes"),
    ("leaked dollars", "leaked_dollar_share"),
    ("mean leaked share", "mean_leaked_share"),
    ("scope right", "scope_accuracy"),
    ("driver right", "driver_accuracy"),
    ("deployment right", "deployment_accuracy"),
    ("clean pages a week", "clean_pages_per_week"),
    ("unmatched pages a week", "unmatched_pages_per_week"),
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table.

    Examples
    --------
    >>> print(table(["a", "b"], [[1, 2]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [head, *rows]
    written = ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
    return "\n".join([written[0], "|" + "---|" * len(head), *written[1:]])


def summary_table(summaries: dict[str, Row]) -> str:
    """Return one line a family, variant or peer: each figure with burstbench's 90 % bootstrap interval."""
    head = ["", "incidents", *(name for name, _ in _COLUMNS), "controls violated"]
    rows = [
        [name, summary["incidents"], *(_cell(summary[key]) for _, key in _COLUMNS), _controls(summary)]
        for name, summary in summaries.items()
    ]
    return table(head, rows)


def recall_table(rows: list[Row], by: str) -> str:
    """Return recall by kind or strength, with its 90 % Wilson interval, minutes and leaked shares."""
    strengths = sorted({row["strength"] for row in rows}, reverse=True)
    across = [*strengths, None] if by != "strength" and len(strengths) > 1 else [None]
    head = [by, *("all" if s is None else f"strength {s:g}" for s in across), "90 % interval", "median minutes"]
    lines = []
    for name in sorted({row[by] for row in rows}, key=str, reverse=by == "strength"):
        mine = [row for row in rows if row[by] == name]
        parts = [[row for row in mine if strength in (None, row["strength"])] for strength in across]
        minutes = sorted(row["minutes"] for row in mine if row["detected"])
        counts = [f"{_found(part)}/{len(part)}" if part else "–" for part in parts]
        low, high = wilson(_found(mine), len(mine))
        median = f"{_middle(minutes):g}" if minutes else "–"
        lines.append([name, *counts, f"{low:.2f} to {high:.2f}", median, f"{_mean_leaked(mine):.2f}"])
    return table([*head, "mean leaked share"], lines)


def missed_table(rows: list[Row]) -> str:
    """Return what was not found."""
    missed = [row for row in rows if not row["detected"]]
    head = ["world", "incident", "kind", "strength", "activity", "excess"]
    cells = [[r["world"], r["id"], r["kind"], f"{r['strength']:g}", r["activity"], f"${r['excess_usd']:,.0f}"]
             for r in missed]  # fmt: skip
    return table(head, cells) if missed else "Nothing was missed."


def marginal_table(with_all: Row, without: dict[str, Row]) -> str:
    """Return what each detector adds: the shipped set's figures, and those of the set without it."""
    head = ["without", "recall", "marginal recall", "mean leaked share", "clean pages a week", "unmatched"]
    keys = ("mean_leaked_share", "clean_pages_per_week", "unmatched_pages_per_week")
    lines = []
    for name, summary in {"(nothing)": with_all, **without}.items():
        recall, gain = summary["recall"]["value"], with_all["recall"]["value"] - summary["recall"]["value"]
        lines.append([name, f"{recall:.3f}", f"{gain:+.3f}", *(f"{summary[key]['value']:.2f}" for key in keys)])
    return table(head, lines)


def cost_line(runs: list[Run]) -> str:
    """Return what the replays took."""
    used: list[Usage] = [usage for run in runs for usage in run.usage]
    wall, processor, peak = (_middle_and_most([usage[place] for usage in used]) for place in range(3))
    return f"{len(used)} replays: wall {wall} s, CPU {processor} s, peak memory {peak} MB (median, most)."


def _middle_and_most(figures: list[float]) -> str:
    return f"{_middle(sorted(figures)):.1f}, {max(figures):.1f}"


def wilson(found: int, of: int, z: float = 1.645) -> tuple[float, float]:
    """Return Wilson's interval of a share; 90 % by default.

    Examples
    --------
    >>> [round(bound, 2) for bound in wilson(4, 4)]
    [0.6, 1.0]
    """
    share, extra = found / of, z * z / of
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / of + extra / (4 * of)) / (1 + extra)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _cell(figure: dict[str, float | None]) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    return "–" if value is None else f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _controls(summary: Row) -> str:
    named = ", ".join(f"{count} {kind}" for kind, count in summary["violations_by_control"].items())
    return f"{summary['controls_violated']}/{summary['controls']}{f' ({named})' if named else ''}"


def _found(rows: list[Row]) -> int:
    return sum(row["detected"] for row in rows)


def _mean_leaked(rows: list[Row]) -> float:
    return float(sum(row["leaked_usd"] / row["excess_usd"] for row in rows) / len(rows))


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
