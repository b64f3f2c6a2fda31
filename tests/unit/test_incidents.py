"""``burstwatch incidents`` on a file of alerts: what is open, and all of one. The alerts are a replay's of the sample.

``python -m tests.unit.test_incidents`` writes the goldens anew.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from detectors.events import Alert, Cause, Feedback
from streams.commands import app
from streams.last_words import LastWords, newest_of_each
from tests.contracts.alerts import BACK, FIRING, RESOLVED, UPDATED, another, past

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "sample"
GOLDENS = ROOT / "tests" / "goldens" / "incidents"
SERVICES = ("chat-digest", "claim-summary", "voice-tagger")
FROM, UNTIL = "2026-10-01", "2026-10-10T12"
"""Until an incident of one service burns, while those of the others are over."""


def burstwatch(*words: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=given)


def replayed(folder: Path) -> Path:
    """Return a file of the alerts of a piece of the sample."""
    usage, alerts = folder / "usage.ndjson", folder / "alerts.ndjson"
    with gzip.open(SAMPLE / "usage.ndjson.gz") as lines:
        usage.write_bytes(b"".join(line for line in lines if _is_wanted(json.loads(line))))
    given = ("--deployments", SAMPLE / "deployments.ndjson", "--initiatives", SAMPLE / "initiatives.yaml")
    done = burstwatch("replay", usage, *given, "--alerts", alerts, "--config", ROOT / "config", "--quiet")
    assert done.exit_code == 0, done.output
    return alerts


def _is_wanted(event: dict[str, str]) -> bool:
    return event["service"] in SERVICES and FROM <= event["time"] < UNTIL


def shown(*words: str | Path) -> str:
    """Return what a command printed, without the blanks that end its lines."""
    done = burstwatch("incidents", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def goldens(alerts: Path) -> dict[str, str]:
    """Return what the goldens hold: every incident in a table, and the dearest that is open."""
    dearest = json.loads(burstwatch("incidents", "--alerts", alerts, "--json").stdout.splitlines()[0])["alert_id"]
    return {
        "table.txt": shown("--alerts", alerts, "--all"),
        "explained.txt": shown("--alerts", alerts, dearest),
    }


@pytest.fixture(scope="module")
def sample_alerts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed(tmp_path_factory.mktemp("replayed"))


def written(folder: Path, *alerts: Alert) -> Path:
    path = folder / "alerts.ndjson"
    path.write_bytes(b"".join(msgspec.json.encode(alert) + b"\n" for alert in alerts))
    return path


def test_the_table_and_an_explanation_say_what_their_goldens_say(sample_alerts: Path) -> None:
    said = goldens(sample_alerts)
    assert {name: text for name, text in said.items() if text != (GOLDENS / name).read_text("utf-8")} == {}


def test_without_all_only_what_is_open_is_shown(sample_alerts: Path) -> None:
    opened, everything = shown("--alerts", sample_alerts), shown("--alerts", sample_alerts, "--all")
    assert "resolved" not in opened
    assert "resolved" in everything
    assert set(opened.split()) < set(everything.split())


def test_json_is_the_last_word_of_each_as_it_was_written(sample_alerts: Path) -> None:
    lines = sample_alerts.read_bytes().splitlines()
    last = {json.loads(line)["alert_id"]: line for line in lines}
    printed = burstwatch("incidents", "--alerts", sample_alerts, "--all", "--json").stdout.encode().splitlines()
    assert sorted(printed) == sorted(last.values())
    one = next(iter(last))
    assert burstwatch("incidents", one, "--alerts", sample_alerts, "--json").stdout.encode() == last[one] + b"\n"


def test_open_ones_come_first_by_what_they_cost_and_then_the_newest_end() -> None:
    dear, cheap = (msgspec.structs.replace(another(n), excess_usd=usd) for n, usd in ((1, 900.0), (2, 1.0)))
    newer = msgspec.structs.replace(past(2), time=UPDATED.time.replace(year=2027))
    known = LastWords(newest_of_each([past(1), cheap, FIRING, newer, dear, UPDATED]))
    assert known.open() == [dear, UPDATED, cheap]
    assert known.ended() == [newer, past(1)]


def test_the_newest_word_counts_in_whatever_order_they_stand() -> None:
    assert newest_of_each([BACK, FIRING, RESOLVED]) == (BACK,)


@pytest.mark.parametrize("words", [(), ("--all",)])
def test_where_nothing_is_open_it_says_so_and_ends_well(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "no incident is open" in shown("--alerts", written(tmp_path, RESOLVED), *words)
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    assert shown("--alerts", empty, *words) == "no incident is open\n"
    assert not shown("--alerts", empty, "--json", *words)


def test_standard_input_is_read_as_a_file_is() -> None:
    done = burstwatch("incidents", "--alerts", "-", given=msgspec.json.encode(FIRING))
    assert done.exit_code == 0
    assert "1 incident is open; the newest word is of 2026-10-09 09:20 UTC" in done.stdout


def test_what_came_back_what_was_decided_and_unknown_dollars_are_told(tmp_path: Path) -> None:
    decided = Feedback(FIRING.time, "bw-0123456789abcdef", "fixed", "ana")
    unpriced = Cause("model_mix", None, {})
    told = shown(
        "--alerts",
        written(
            tmp_path,
            msgspec.structs.replace(BACK, decision=decided),
            msgspec.structs.replace(
                another(1), cause=unpriced, detector="unpriced_model", excess_usd=0.0, usd_per_hour=0.0
            ),
        ),
    )
    assert "page, came back, fixed" in told
    assert "unpriced model" in told
    assert "not known" in told


def test_a_deployment_that_nobody_approved_says_so(tmp_path: Path) -> None:
    deployment = msgspec.structs.replace(FIRING.cause.deployment, approver="")  # type: ignore[type-var]
    cause = msgspec.structs.replace(FIRING.cause, deployment=deployment)
    assert "dep-1841, approved by nobody" in shown(
        "--alerts", written(tmp_path, msgspec.structs.replace(FIRING, cause=cause))
    )


@pytest.mark.parametrize("words", [(), ("bw-5f0c2a9b",)])
def test_names_are_shown_as_they_are_and_steer_no_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    scope = {"service": "[red]answers[/red]", "principal": "key\x1b[2J"}
    told = shown("--alerts", written(tmp_path, msgspec.structs.replace(FIRING, scope=scope)), *words)
    assert "[red]answers[/red]" in told
    assert "\x1b" not in told


def test_the_drivers_that_are_listed_sum_to_what_is_said_to_be_in_all(tmp_path: Path) -> None:
    told = shown("bw-5f0c2a9b", "--alerts", written(tmp_path, FIRING)).splitlines()
    begin = next(n for n, line in enumerate(told) if line.startswith("by driver"))
    parts = [line.split()[-1].replace("−", "-").replace("$", "") for line in told[begin + 1 : begin + 6]]
    assert told[begin + 5].startswith("in all")
    assert sum(map(float, parts[:-1])) == pytest.approx(float(parts[-1]))


def test_an_alert_can_be_decided_on_by_the_line_that_its_explanation_ends_with(tmp_path: Path) -> None:
    told = shown("bw-5f0c2a9b", "--alerts", written(tmp_path, FIRING)).splitlines()
    assert told[-1].startswith("To decide on it: burstwatch feedback bw-5f0c2a9b intended --by WHO --why TEXT")


def test_ids_are_as_long_as_tells_them_apart(tmp_path: Path) -> None:
    twins = [msgspec.structs.replace(FIRING, alert_id=f"bw-0123456789abcde{n}") for n in range(2)]
    assert "bw-0123456789abcde0" in shown("--alerts", written(tmp_path, *twins))
    assert "bw-01234567 " in shown("--alerts", written(tmp_path, twins[0]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("bw-none",), "no alert's id begins with 'bw-none'"),
        (("bw-other",), "2 alerts' ids begin with 'bw-other': bw-other-1, bw-other-12; give more of it"),
    ],
)
def test_an_id_that_is_unknown_or_of_several_is_named(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    alerts = written(tmp_path, another(1), another(12))
    done = burstwatch("incidents", *words, "--alerts", alerts)
    assert (done.exit_code, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert "bw-other-1 #1" in shown("bw-other-1", "--alerts", alerts), "a whole id is no beginning of another"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--alerts", "gone.ndjson"), 1, "gone.ndjson: No such file or directory"),
        (("--alerts", "usage.ndjson"), 1, "usage.ndjson line 2 is no alert: Object missing required field"),
        ((), 1, "no state in burstwatch.db: see state.path; where workers run, give --kafka"),
        (("--alerts", "usage.ndjson", "--kafka"), 2, "give one of them"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("usage.ndjson").write_bytes(msgspec.json.encode(FIRING) + b'\n{"id": "1"}\n')
    done = burstwatch("incidents", *words)
    assert done.exit_code == code
    assert sentence in done.stderr
    assert "Traceback" not in done.output


if __name__ == "__main__":
    GOLDENS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        for golden, words_of in goldens(replayed(Path(made))).items():
            (GOLDENS / golden).write_text(words_of, "utf-8")
