"""A CSV file as a series: its columns of time and value, its rows; what cannot be read says where, and the cure."""

from __future__ import annotations

import csv
import difflib
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TextIO

_SEPARATORS = ",;\t|"
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "inf", "-inf", "+inf", "infinity", "-infinity"})
_TIME_NAMES = ("timestamp", "time", "datetime", "date", "ds", "ts", "timestamps", "@timestamp", "minute", "_time")
_VALUE_NAMES = ("value", "data", "values", "y", "metric", "_value", "cost_usd", "cost", "count", "requests")
_LABEL_NAMES = ("label", "labels", "is_anomaly", "anomaly", "changepoint", "is_change_point", "id", "index", "")
_LEAST_EPOCH = 1e8
_LOOKED_AT = 50
"""Rows that the guess of the columns looks at."""
ADDED = ("score", "expected", "page")


class SeriesError(Exception):
    """A file that is no series; the text says where, what was expected, and what to do."""


class Columns(NamedTuple):
    """The columns of a file, and which of them count."""

    names: list[str]
    time: int | None
    value: int
    guessed: bool


class SeriesRow(NamedTuple):
    """One row."""

    cells: list[str]
    seconds: float | None
    """Since 1970 in UTC; None where the file has no times."""
    value: float
    """NaN is missing."""


class SeriesFile(NamedTuple):
    """An open file: its columns known, its rows still to come, in order of time."""

    columns: Columns
    rows: Iterator[SeriesRow]


@contextmanager
def open_series(path: Path, time: str | None, value: str | None) -> Iterator[SeriesFile]:
    """Open a CSV file, or standard input for ``-``.

    Parameters
    ----------
    path
        UTF-8; separated by comma, semicolon, tab or bar; with a header or without.
    time, value
        Names of the columns; guessed from names and first rows if not given.

    Raises
    ------
    SeriesError
        If the file is no series; rows raise it too, when they are read.
    OSError
        If it cannot be read.
    """
    if str(path) == "-":
        yield _series(sys.stdin, "standard input", time, value)
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield _series(file, str(path), time, value)


def _series(file: TextIO, name: str, time: str | None, value: str | None) -> SeriesFile:
    lines = (line for line in _numbered(file, name) if line[1].strip())
    first = next(lines, None)
    if first is None:
        raise SeriesError(f"{name} is empty; expected a header such as timestamp,value and a row for each value")
    separator = max(_SEPARATORS, key=first[1].count)
    table = _cells(chain([first], lines), separator, name)
    _, head = next(table)
    names = [cell.strip() for cell in head]
    if any(_is_number(cell) or _is_time(cell) for cell in names):
        names = [f"column_{n}" for n in range(1, len(names) + 1)]
        table = chain([(first[0], head)], table)
    looked = list(islice(table, _LOOKED_AT))
    if not looked:
        raise SeriesError(f"{name} has a header but no rows; expected a row for each value")
    decimal_comma = separator != ","
    columns = _columns(names, looked, (time, value), name, decimal_comma=decimal_comma)
    return SeriesFile(columns, _rows(chain(looked, table), columns, name, decimal_comma=decimal_comma))


def _numbered(file: TextIO, name: str) -> Iterator[tuple[int, str]]:
    try:
        yield from enumerate(file, start=1)
    except UnicodeDecodeError as error:
        raise SeriesError(
            f"{name}: not text in UTF-8 ({error.reason}); convert it: iconv -f latin1 -t utf-8"
        ) from error


def _cells(lines: Iterator[tuple[int, str]], separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        try:
            yield number, next(csv.reader([line], delimiter=separator))
        except csv.Error as error:
            raise SeriesError(f"{name}:{number}: {error}; expected a row of cells in one line") from error


def _columns(
    names: list[str], looked: list[tuple[int, list[str]]], given: tuple[str | None, str | None], file: str,
    *, decimal_comma: bool,
) -> Columns:  # fmt: skip
    """Find the columns by name, or guess them."""
    if taken := [name for name in names if name in ADDED]:
        raise SeriesError(f"{file}:1: a column is called {taken[0]}, as one that would be added; rename it")
    time, value = (None if name is None else _named(names, name, file) for name in given)
    full = [cells for _, cells in looked if len(cells) == len(names)]
    if time is None:
        looks = [n for n in range(len(names)) if n != value and full and all(_is_time(cells[n]) for cells in full)]
        time = min(looks, key=lambda n: (_place(names[n], _TIME_NAMES), n), default=None)
    if value is None:
        numeric = [
            n for n in range(len(names))
            if n != time and any(not math.isnan(_number(c[n], decimal_comma=decimal_comma) or math.nan) for c in full)
        ]  # fmt: skip
        likely = [n for n in numeric if names[n].lower() not in (*_LABEL_NAMES, *_TIME_NAMES)] or numeric
        if not likely:
            raise SeriesError(
                f"{file}: no column of numbers among {', '.join(names)}; expected one such as value, or --value NAME"
            )
        value = min(likely, key=lambda n: (_place(names[n], _VALUE_NAMES), n))
    return Columns(names, time, value, guessed=None in given)


def _named(names: list[str], wanted: str, file: str) -> int:
    if wanted in names:
        return names.index(wanted)
    near = difflib.get_close_matches(wanted.lower(), [name.lower() for name in names], n=1, cutoff=0.5)
    hint = next((f"did you mean {name}? " for name in names if near and name.lower() == near[0]), "")
    raise SeriesError(f"{file}:1: no column is called {wanted}; {hint}There are {', '.join(names)}")


def _place(name: str, known: tuple[str, ...]) -> int:
    return known.index(name.lower()) if name.lower() in known else len(known)


def _rows(
    table: Iterator[tuple[int, list[str]]], columns: Columns, file: str, *, decimal_comma: bool
) -> Iterator[SeriesRow]:
    latest, latest_text = -math.inf, ""
    for number, cells in table:
        if len(cells) != len(columns.names):
            raise SeriesError(
                f"{file}:{number}: {len(cells)} cells, expected {len(columns.names)} as in the first line"
            )
        value = _number(cells[columns.value], decimal_comma=decimal_comma)
        if value is None:
            raise SeriesError(
                f"{file}:{number}: {columns.names[columns.value]} is {cells[columns.value]!r}; "
                "expected a number such as 12.5, or nothing where it is missing"
            )
        seconds = None
        if columns.time is not None:
            text = cells[columns.time]
            seconds = _seconds(text)
            if seconds is None:
                raise SeriesError(
                    f"{file}:{number}: {columns.names[columns.time]} is {text!r}; expected a time such as "
                    "2026-10-01T00:00:00Z, or seconds or milliseconds since 1970"
                )
            if seconds < latest:
                raise SeriesError(
                    f"{file}:{number}: {text} comes after {latest_text}; rows must be in order of time: "
                    f"sort the file by {columns.names[columns.time]}"
                )
            latest, latest_text = seconds, text
        yield SeriesRow(cells, seconds, value)


def _number(text: str, *, decimal_comma: bool = False) -> float | None:
    """Return a number, NaN for what is missing, None for what is neither."""
    text = text.strip()
    if text.lower() in _MISSING:
        return math.nan
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


def _is_number(text: str) -> bool:
    number = _number(text)
    return number is not None and not math.isnan(number)


def _is_time(text: str) -> bool:
    seconds = _seconds(text)
    return seconds is not None and abs(seconds) >= _LEAST_EPOCH


def _seconds(text: str) -> float | None:
    """Return seconds since 1970: ISO 8601 (UTC where it names no zone), or a number of s, ms, µs or ns by its size.

    Examples
    --------
    >>> _seconds("1970-01-02 00:00:00"), _seconds("1790812800000"), _seconds("soon")
    (86400.0, 1790812800.0, None)
    """
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.replace("/", "-"))
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(number):
        return None
    size = abs(number)
    return number / (1.0 if size < 1e11 else 1e3 if size < 1e14 else 1e6 if size < 1e17 else 1e9)
