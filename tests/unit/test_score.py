"""``burstwatch score``: what it reads, what it writes, and how it ends on what is no series."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.commands import app

START = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def score(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["score", *words], input=given)


def usual(rows: int, burst_at: int | None = None, burst: float = 30.0) -> list[float]:
    draw = random.Random(1)
    values = [10 + 3 * math.sin(n * math.tau / 288) + draw.gauss(0, 0.5) for n in range(rows)]
    if burst_at is not None:
        values[burst_at] += burst
    return values


def iso(n: int) -> str:
    return (START + timedelta(minutes=5 * n)).isoformat()


def write(name: str, values: list[float], time: Callable[[int], str] = iso, separator: str = ",") -> str:
    rows = [f"{time(n)}{separator}{value:.4f}" for n, value in enumerate(values)]
    Path(name).write_text("\n".join([f"timestamp{separator}value", *rows]) + "\n")
    return name


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_burst_scores_highest_and_pages_once() -> None:
    done = score(write("s.csv", usual(3000, burst_at=2500)), "--out", "o.csv")
    assert done.exit_code == 0, done.output
    rows = rows_of("o.csv")
    assert list(rows[0]) == ["timestamp", "value", "score", "expected", "page"]
    assert max(range(3000), key=lambda n: float(rows[n]["score"])) in range(2500, 2503)
    assert any(rows[n]["page"] == "1" for n in range(2500, 2503))
    assert "reading values from value, times from timestamp" in done.stderr
    assert "3,000 rows, 300 s apart" in done.stderr


def test_the_input_stands_in_the_output_as_it_was() -> None:
    write("s.csv", usual(200))
    score("s.csv", "--out", "o.csv")
    kept = [",".join(line.split(",")[:2]) for line in Path("o.csv").read_text().splitlines()]
    assert kept == Path("s.csv").read_text().splitlines()


def test_rows_that_come_later_change_no_earlier_line() -> None:
    values = usual(2600, burst_at=1500)
    score(write("whole.csv", values), "--out", "whole_out.csv")
    whole = Path("whole_out.csv").read_text().splitlines()
    for cut in (1, 40, 64, 65, 700, 1501, 2599):
        score(write("part.csv", values[:cut]), "--out", "part_out.csv")
        assert Path("part_out.csv").read_text().splitlines() == whole[: cut + 1]


@pytest.mark.parametrize(
    "time",
    [
        lambda n: str(1_790_812_800 + 300 * n),
        lambda n: str((1_790_812_800 + 300 * n) * 1000),
        lambda n: (START + timedelta(minutes=5 * n)).strftime("%Y-%m-%d %H:%M:%S"),
        lambda n: (START + timedelta(minutes=5 * n)).strftime("%Y/%m/%d %H:%M"),
    ],
    ids=["seconds", "milliseconds", "no zone", "slashes"],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_times_and_separators_of_other_houses_are_read(time: Callable[[int], str], separator: str) -> None:
    values = usual(700, burst_at=600)
    score(write("iso.csv", values), "--out", "expected.csv")
    done = score(write("s.csv", values, time, separator), "--out", "o.csv")
    assert done.exit_code == 0, done.output
    assert [row["score"] for row in rows_of("o.csv")] == [row["score"] for row in rows_of("expected.csv")]


def test_a_decimal_comma_is_a_point_where_it_does_not_separate() -> None:
    Path("s.csv").write_text("zeit;wert\n" + "".join(f"{iso(n)};{n % 7},5\n" for n in range(300)))
    assert score("s.csv", "--out", "o.csv").exit_code == 0
    with Path("o.csv").open() as file:
        assert 0.5 <= float(list(csv.DictReader(file))[-1]["expected"]) <= 6.5


def test_a_file_without_header_or_times_counts_rows_as_minutes() -> None:
    done = score("-", "--out", "o.csv", given="\n".join(f"{value:.3f}" for value in usual(500)))
    assert done.exit_code == 0, done.output
    assert "no column looks like times: rows count as minutes" in done.stderr
    assert list(rows_of("o.csv")[0]) == ["column_1", "score", "expected", "page"]


def test_labels_are_not_taken_for_values() -> None:
    lines = [f"{value:.3f},0" for value in usual(300)]
    done = score("-", "--out", "o.csv", given="\n".join(["Data,Label", *lines]))
    assert "reading values from Data" in done.stderr


def test_missing_values_and_gaps_are_counted_and_keep_the_cycle() -> None:
    values = usual(1500)
    lines = [f"{iso(n)},{'' if n % 50 == 7 else values[n]}" for n in range(1500) if not 700 <= n < 800]
    done = score("-", "--out", "o.csv", "--pages", "1", given="\n".join(["time,value", *lines]))
    assert "(28 missing, 100 left out by the times)" in done.stderr
    rows = rows_of("o.csv")
    assert all(row["score"] == "0.000000" for row in rows if row["value"] == "")
    assert sum(row["page"] == "1" for row in rows) <= 1


def test_a_constant_never_pages_and_a_line_of_nothing_harms_nothing() -> None:
    done = score("-", "--out", "-", "--quiet", given="value\n" + "5\n\n" * 400)
    assert done.exit_code == 0
    assert all(line.endswith(",0.000000,5,0") for line in done.stdout.splitlines()[1:])


def test_budgets_are_kept_where_nothing_happens() -> None:
    for pages in (1, 3, 10):
        score(write("s.csv", usual(6 * 2016)), "--out", "o.csv", "--pages", str(pages))
        assert sum(row["page"] == "1" for row in rows_of("o.csv")) <= 6 * pages


@pytest.mark.parametrize(
    ("content", "words", "sentence"),
    [
        ("", (), "s.csv is empty; expected a header"),
        ("time,value\n", (), "s.csv has a header but no rows"),
        ("time,value\n2026-10-01,1\n", ("--value", "vlaue"), "no column is called vlaue; did you mean value?"),
        ("time,value\n2026-10-01,1\n2026-10-02,1x\n", (), "s.csv:3: value is '1x'; expected a number such as 12.5"),
        ("time,value\n2026-10-02,1\n2026-10-01,2\n", (), "s.csv:3: 2026-10-01 comes after 2026-10-02; rows must be"),
        ("time,value\n2026-10-01,1\nsoon,2\n", ("--time", "time"), "s.csv:3: time is 'soon'; expected a time such as"),
        ("time,value\n2026-10-01,1\n2026-10-02\n", (), "s.csv:3: 1 cells, expected 2"),
        ("time,value,score\n2026-10-01,1,1\n", (), "s.csv:1: a column is called score"),
        ("name,colour\na,red\n", (), "s.csv: no column of numbers among name, colour"),
    ],
)
def test_what_is_no_series_is_told_with_its_line_and_cure(content: str, words: tuple[str, ...], sentence: str) -> None:
    Path("s.csv").write_text(content)
    done = score("s.csv", "--out", "o.csv", *words)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_it_overwrites_nothing_that_it_reads() -> None:
    done = score(write("s.csv", usual(10)), "--out", "s.csv")
    assert done.exit_code == 1
    assert "would overwrite" in done.stderr
    assert score("gone.csv", "--out", "o.csv").exit_code == 1
    Path("latin.csv").write_bytes(b"zeit,gr\xf6\xdfe\n1,2\n")
    assert "convert it: iconv" in score("latin.csv", "--out", "o.csv").stderr
