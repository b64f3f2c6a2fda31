"""The command line: what goes in, what comes out, and how it ends."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from detectors.events import Alert
from streams.commands import app
from streams.delivery.outbox import Outcome
from streams.delivery.sqlite_outbox import SqliteOutbox
from tests.contracts.alerts import FIRING, another

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"gpt-4o-mini": 0.15e-6, "house-7b": None}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def burstwatch(*words: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, words, input=given)


def events(minutes: int) -> Iterator[bytes]:
    for minute in range(minutes):
        for model in MODELS:
            event = {
                "id": f"{minute}-{model}", "time": f"2026-10-01T{minute // 60:02}:{minute % 60:02}:00Z", "source": "s",
                "service": "bot", "team": "core", "model": model, "requests": 10, "input_tokens": 1000,
            }  # fmt: skip
            yield json.dumps(event).encode() + b"\n"


def test_replay_reads_files_and_standard_input_alike() -> None:
    lines = b"".join(events(90))
    Path("usage.ndjson").write_bytes(lines)
    Path("usage.ndjson.gz").write_bytes(gzip.compress(lines))
    written = []
    for source, given in (("usage.ndjson", None), ("usage.ndjson.gz", None), ("-", lines)):
        done = burstwatch("replay", source, "--alerts", "alerts.ndjson", given=given)
        assert done.exit_code == 0, done.output
        assert "180 events taken" in done.stderr
        written.append(Path("alerts.ndjson").read_bytes())
    assert written[0] == written[1] == written[2]
    assert any(json.loads(line)["detector"] == "unpriced_model" for line in written[0].splitlines())


def test_replay_writes_exact_sums_by_day_and_model() -> None:
    twice = next(events(1))
    lines = b"".join(events(90)) + twice
    done = burstwatch("replay", "-", "--alerts", "a.ndjson", "--spend", "spend.ndjson", "--quiet", given=lines)
    assert (done.exit_code, done.output) == (0, "")
    sums = {row["model"]: row for row in map(json.loads, Path("spend.ndjson").read_text().splitlines())}
    assert {(row["day"], row["service"], row["input_tokens"]) for row in sums.values()} == {
        ("2026-10-01", "bot", 90_000)
    }
    assert sums["gpt-4o-mini"]["cost_nano"] == 90_000 * 150
    assert (sums["house-7b"]["cost_nano"], sums["house-7b"]["unpriced_requests"]) == (0, 900)


def test_replay_writes_alerts_to_standard_output_if_asked() -> None:
    done = burstwatch("replay", "-", "--alerts", "-", "--quiet", given=b"".join(events(10)))
    assert done.exit_code == 0
    assert all(json.loads(line)["alert_id"] for line in done.stdout.splitlines())


@pytest.mark.parametrize("option", ["--alerts", "--spend"])
@pytest.mark.parametrize("given", ["usage.ndjson", "./deployments.ndjson"])
def test_replay_does_not_overwrite_what_it_reads(option: str, given: str) -> None:
    lines = b"".join(events(2))
    for name in ("usage.ndjson", "deployments.ndjson"):
        Path(name).write_bytes(lines)
    made = {"--alerts": "a.ndjson", "--spend": "s.ndjson", option: given}
    options = [word for pair in made.items() for word in pair]
    done = burstwatch("replay", "usage.ndjson", "--deployments", "deployments.ndjson", *options)
    assert done.exit_code == 1
    assert f"{Path(given)} would overwrite what it is read from; name another file" in done.stderr
    assert Path(given).read_bytes() == lines


def test_replay_of_a_file_that_is_not_there_leaves_the_alerts_of_yesterday() -> None:
    Path("alerts.ndjson").write_bytes(b"yesterday")
    done = burstwatch("replay", "gone.ndjson", "--alerts", "alerts.ndjson")
    assert done.exit_code == 1
    assert Path("alerts.ndjson").read_bytes() == b"yesterday"


def test_replay_says_why_events_were_rejected() -> None:
    done = burstwatch("replay", "-", "--alerts", "a.ndjson", given=b"no json\n" + b"".join(events(1)))
    assert done.exit_code == 0
    assert "2 events taken" in done.stderr
    assert "1 rejected (1 not_json)" in done.stderr
    assert "first not_json: usage line 1: JSON is malformed" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("replay", "gone.ndjson", "--alerts", "a.ndjson"), "burstwatch: gone.ndjson: No such file or directory"),
        (
            ("replay", "-", "--alerts", "no/folder/a.ndjson"),
            "burstwatch: no/folder/a.ndjson: No such file or directory",
        ),
        (("replay", "-", "--alerts", "a.ndjson", "--initiatives", "gone.yaml"), "gone.yaml:1: no such file"),
        (("replay", "torn.ndjson.gz", "--alerts", "a.ndjson"), "burstwatch: "),
        (("publish", "-", "gone.ndjson", "--topic", "usage"), "gone.ndjson: no such file"),
        (("run", "--config", "gone"), "gone/burstwatch.yaml:1: no such file"),
        (
            ("publish", "-", "--topic", "usage", "--config", "bad"),
            "bad/burstwatch.yaml:1: shards: unknown key",
        ),
    ],
)
def test_what_a_user_can_mend_ends_with_1_and_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    Path("torn.ndjson.gz").write_bytes(gzip.compress(b"".join(events(9)))[:40])
    Path("bad").mkdir()
    Path("bad/burstwatch.yaml").write_text("shards: 4")
    done = burstwatch(*words, given=b"")
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_an_unknown_option_ends_with_2() -> None:
    assert burstwatch("replay", "--alert", "x").exit_code == 2


def test_version_names_what_decides_results() -> None:
    done = burstwatch("version")
    assert done.exit_code == 0
    assert "burstwatch 0." in done.stdout
    assert "faust-streaming 0.15.3" in done.stdout


def test_where_no_kafka_is_the_sentence_names_the_brokers_and_the_setting() -> None:
    Path("config").mkdir()
    Path("config/burstwatch.yaml").write_text("kafka: {brokers: '127.0.0.1:1', request_timeout_seconds: 1}")
    done = burstwatch("publish", "-", "--topic", "usage", given=b"{}\n")
    assert done.exit_code == 1
    assert "is Kafka at 127.0.0.1:1? Start it, or set kafka.brokers" in done.stderr
    assert "Traceback" not in done.output


def test_where_the_port_is_taken_the_sentence_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        Path("config").mkdir()
        Path("config/burstwatch.yaml").write_text(f"http: {{port: {taken.getsockname()[1]}}}")
        # In a process of its own: a service sets up the logs of all its process.
        words = [sys.executable, "-m", "streams", "run"]
        done = subprocess.run(
            words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "address already in use; stop what listens there, or set http.port" in done.stderr


def refused(alert: Alert, receiver: str) -> None:
    """Let the state file hold an alert that a receiver refused."""
    outbox = SqliteOutbox("burstwatch.db", lambda alert, told: [receiver], lambda: 1_790_000_000.0)
    runtime = sqlite3.connect("burstwatch.db", isolation_level=None)
    outbox.prepare(runtime)
    outbox.insert(runtime, [alert])
    pending = outbox._next_for(receiver)
    assert pending is not None
    outbox._settle(pending, Outcome("dead", None, "HTTP 401: no such key", 1))
    outbox.close()
    runtime.close()


@pytest.fixture
def _pager() -> None:
    Path("config").mkdir()
    Path("config/burstwatch.yaml").write_text("state: {path: burstwatch.db}")
    Path("config/routes.yaml").write_text("receivers: {pager: {type: console}}\ndefault: [pager]\n")


@pytest.mark.usefixtures("_pager")
def test_dead_letters_are_shown_with_their_answers_and_sent_again() -> None:
    assert "no state in burstwatch.db" in burstwatch("dead-letters").stderr
    refused(FIRING, "pager")
    line = "2026-09-21 14:13Z  pager  bw-5f0c2a9b #1 firing: HTTP 401: no such key\n"
    assert burstwatch("dead-letters").stdout == line
    assert burstwatch("dead-letters", "--send-again").stdout == line + "1 wait to be sent again\n"
    assert not burstwatch("dead-letters").stdout
    outbox = SqliteOutbox("burstwatch.db", lambda alert, told: told, lambda: 1_790_000_000.0)
    assert outbox._next_for("pager") is not None
    outbox.close()


@pytest.mark.usefixtures("_pager")
def test_some_dead_letters_are_chosen_by_the_beginning_of_an_id() -> None:
    for alert in (FIRING, another(1), another(2), another(3)):
        refused(alert, "pager")
    chosen = burstwatch("dead-letters", "bw-5f", "bw-other-2", "--send-again").stdout
    assert "bw-other-1" not in chosen
    assert "2 wait to be sent again" in chosen
    assert "bw-other-1" in burstwatch("dead-letters").stdout
    for wrong, cure in (("bw-5f", "leave ids out to see all there are"), ("x", "leave ids out")):
        done = burstwatch("dead-letters", wrong, "--send-again")
        assert done.exit_code == 1
        assert cure in done.stderr
    assert "bw-other-1, bw-other-3; give more of it" in burstwatch("dead-letters", "bw-other").stderr


@pytest.mark.usefixtures("_pager")
def test_what_a_receiver_refused_that_is_no_more_is_not_sent_again_until_it_is_back() -> None:
    refused(FIRING, "slack")
    refused(another(1), "pager")
    done = burstwatch("dead-letters", "--send-again")
    assert "1 wait to be sent again" in done.stdout
    assert "routes.yaml has no receiver slack any more; put it back" in done.stderr
    assert "slack" in burstwatch("dead-letters").stdout


FAILS = """
import os, structlog
from streams.commands.logs import set_up_logs
def connect(token):
    raise ConnectionError("refused")
set_up_logs()
try:
    connect(os.environ["BOT"])
except ConnectionError:
    structlog.get_logger().exception("it_failed")
"""


def test_a_traceback_on_a_terminal_shows_no_values() -> None:
    Path("fails.py").write_text(FAILS)
    ours, theirs = os.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "BOT": "xoxb-secret"}
    subprocess.run([sys.executable, "fails.py"], env=environ, stderr=theirs, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # which is how the end is told
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    assert b"ConnectionError: refused" in shown
    assert b"connect(os.environ" in shown
    assert b"xoxb-secret" not in shown


def test_demo_without_a_sample_says_where_one_is() -> None:
    done = burstwatch("demo", "--sample", "gone")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no sample in gone: clone the repository" in done.stderr
