"""The demo, as `make demo` runs it: it pages for the three incidents of the sample, with what was deployed before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from detectors.events import Alert

ROOT = Path(__file__).resolve().parents[2]
INCIDENTS = {"claim-summary": "dep-0192", "voice-answers": None, "voice-tagger": "dep-0194"}
"""As tests/sample/README.md tells of them: the service, and the deployment that did it."""


class Ran(msgspec.Struct):
    """What a demo printed and wrote."""

    printed: str
    alerts: list[Alert]
    report: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    out = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "streams", "demo", "--out", str(out)],
        cwd=ROOT, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (out / "alerts.ndjson").read_bytes().splitlines()
    alerts = [msgspec.json.decode(line, type=Alert) for line in lines]
    return Ran(done.stdout, alerts, (out / "report.html").read_text("utf-8"))


@pytest.mark.parametrize("service", INCIDENTS)
def test_each_incident_of_the_sample_is_paged_with_the_deployment_behind_it(demo: Ran, service: str) -> None:
    pages = [alert for alert in demo.alerts if alert.severity == "page" and alert.scope.get("service") == service]
    assert INCIDENTS[service] in {page.cause.deployment_id for page in pages}
    assert f"Page: {service} burns $" in demo.printed


def test_every_page_is_printed_and_has_a_picture_in_the_report(demo: Ran) -> None:
    pages = {alert.alert_id for alert in demo.alerts if alert.severity == "page"}
    assert demo.report.count("<article") == len(pages)
    assert demo.report.count("data-points=") == len(pages)
    assert all(alert_id in demo.printed for alert_id in pages)


def test_the_end_says_where_the_files_are(demo: Ran) -> None:
    assert "Read 90,049 events: 1,011 came twice and count once, 918 came late." in demo.printed
    assert "alerts.ndjson" in demo.printed
    assert "report.html" in demo.printed
