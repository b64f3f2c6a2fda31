"""``burstwatch incidents`` beside a real service: it reads the state file, whoever has it open, and changes nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.embedded.backlog import OPEN, OVER, backlog
from tests.embedded.running import ROOT, TOKEN, Service, wait_until


def ask(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", "incidents", "--config", str(service.config), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def services_of(printed: str) -> list[str]:
    return [json.loads(line)["scope"]["service"] for line in printed.splitlines()]


@pytest.fixture
def told(service: Service) -> Service:
    """A service that has judged a day's backlog."""
    service.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    asked = urllib.request.Request(f"{service.url}/v1/usage", b"\n".join(backlog()), headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 202
    wait_until(lambda: service.has_counted_everything() and services_told(service) == {*OVER, *OPEN}, "all incidents")
    return service


def services_told(service: Service) -> set[str]:
    """The services of all alerts; a digest, which stands among them, names none."""
    told = (json.loads(alert) for alert in service.alerts())
    return {alert["scope"]["service"] for alert in told if "scope" in alert}


def test_it_tells_what_is_open_while_the_service_runs_after_its_end_and_after_a_crash(told: Service) -> None:
    shown = ask(told)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "unpriced model" in shown.stdout
    assert "1 incident is open" in shown.stdout
    (opened,) = ask(told, "--json").stdout.splitlines()
    alert = json.loads(opened)
    assert alert["scope"]["service"] in OPEN
    assert opened.encode() in told.alerts()
    explained = ask(told, alert["alert_id"][:8]).stdout
    assert alert["reason"] in explained
    assert f"burstwatch feedback {alert['alert_id']} intended --by WHO --why TEXT --config {told.config}" in explained

    told.end(signal.SIGTERM)
    assert ask(told, "--json").stdout.splitlines() == [opened]
    told.start()
    told.end(signal.SIGKILL)
    assert ask(told, "--json").stdout.splitlines() == [opened]


def test_all_shows_what_is_over_as_well_and_says_for_how_long_that_is_kept(told: Service) -> None:
    shown = ask(told, "--all", "--json")
    assert services_of(shown.stdout) == [*OPEN, *sorted(OVER, key=lambda name: -OVER[name])]
    assert "what was over is kept for 30 days, the newest 1,000 of it; the oldest end in" in shown.stderr


def test_where_routes_send_something_to_nobody_it_says_that_this_is_not_shown(service: Service) -> None:
    service.start()
    (service.config / "routes.yaml").write_text("receivers: {terminal: {type: console}}\ndefault: []\n")
    assert "what routes.yaml sends to nobody is not kept, so it is not shown" in ask(service).stderr


def test_a_file_of_another_version_is_refused_and_left_as_it_is(service: Service) -> None:
    service.state.parent.mkdir()
    with sqlite3.connect(service.state) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = service.state.read_bytes()
    refused = ask(service)
    assert refused.returncode == 1
    assert "has schema version 0 of application 0x0, this Burstwatch reads version" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert service.state.read_bytes() == before
    assert [path.name for path in service.state.parent.iterdir()] == ["burstwatch.db"]


def test_what_is_no_database_is_named_with_the_cure(service: Service, tmp_path: Path) -> None:
    service.state.parent.mkdir()
    service.state.write_bytes(b"no database at all, and long enough to look like one " * 40)
    refused = ask(service)
    assert refused.returncode == 1
    assert "file is not a database; restore it from a backup" in refused.stderr
