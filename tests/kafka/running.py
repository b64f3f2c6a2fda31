"""Real workers in processes of their own, and the piece of the sample that they are given."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
import yaml

from detectors.events import Alert
from detectors.intake.prices import NANO
from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.topics import create_topics
from streams.tally import is_page
from tests.kafka.reading import wait_for

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "sample"
SERVICES = {"claim-summary", "voice-tagger", "lead-tagger"}
"""One with an incident that a deployment caused, and two quiet ones; each behind a gateway of its own."""
SHARDS = 2
FROM, UNTIL = "2026-10-09", "2026-10-11T10"
MIDDLE = b'"time":"2026-10-10T05:30:00Z"'


def decision_on(alerts: list[bytes]) -> bytes:
    """What somebody says of the first page, twenty minutes after it."""
    page = next(a for a in (msgspec.json.decode(line, type=Alert) for line in alerts) if is_page(a))
    said = {"time": page.time + timedelta(minutes=20), "alert_id": page.alert_id, "decision": "intended", "by": "ana"}
    return msgspec.json.encode(said) + b"\n"


class Sample:
    """Some days of a few services of the carried sample, and what ``replay`` says of them."""

    def __init__(self, folder: Path) -> None:
        self.usage, self.deployments = folder / "usage.ndjson", folder / "deployments.ndjson"
        with gzip.open(SAMPLE / "usage.ndjson.gz") as lines:
            self.usage.write_bytes(b"".join(line for line in lines if _is_wanted(json.loads(line))))
        with (SAMPLE / "deployments.ndjson").open("rb") as lines:
            wanted = (line for line in lines if json.loads(line)["service"] in SERVICES)
            self.deployments.write_bytes(b"".join(wanted))
        alerts, spend, self.feedback = folder / "alerts.ndjson", folder / "spend.ndjson", folder / "feedback.ndjson"
        config = write_config(folder / "config", {})
        given = (self.usage, "--deployments", self.deployments, "--config", config, "--alerts", alerts)
        burstwatch("replay", *given)
        self.feedback.write_bytes(decision_on(alerts.read_bytes().splitlines()))
        burstwatch("replay", *given, "--feedback", self.feedback, "--spend", spend)
        self.alerts = alerts.read_bytes().splitlines()
        self.spend_usd = sum(json.loads(line)["cost_nano"] for line in spend.read_bytes().splitlines()) / NANO

    @property
    def events(self) -> list[bytes]:
        """Usage, deployments and what was decided."""
        files = (self.usage, self.deployments, self.feedback)
        return [line for file in files for line in file.read_bytes().splitlines()]

    @property
    def pages(self) -> list[bytes]:
        """The alerts that wake somebody."""
        return [alert for alert in self.alerts if is_page(msgspec.json.decode(alert, type=Alert))]

    @property
    def incidents(self) -> set[str]:
        """The ids of the alerts."""
        return {json.loads(alert)["alert_id"] for alert in self.alerts}

    def publish(self, config: Path) -> None:
        """Put it on Kafka."""
        burstwatch("publish", self.deployments, "--topic", "deployments", "--config", config)
        burstwatch("publish", self.feedback, "--topic", "feedback", "--config", config)
        burstwatch("publish", self.usage, "--topic", "usage", "--config", config)

    def halves(self) -> tuple[Path, Path]:
        """Cut usage where the incident is open; return the files."""
        lines = self.usage.read_bytes().splitlines(keepends=True)
        middle = next(n for n, line in enumerate(lines) if MIDDLE in line)
        parts = self.usage.with_name("first.ndjson"), self.usage.with_name("second.ndjson")
        for part, own in zip(parts, (lines[:middle], lines[middle:]), strict=True):
            part.write_bytes(b"".join(own))
        return parts


def _is_wanted(event: dict[str, str]) -> bool:
    return event["service"] in SERVICES and FROM <= event["time"] < UNTIL


def burstwatch(*words: str | Path) -> str:
    """Run a command to its end; return what it printed."""
    command = [sys.executable, "-m", "streams", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write_config(folder: Path, kafka: Mapping[str, object], **more: object) -> Path:
    """Make a folder of configuration, with the sample's initiatives."""
    folder.mkdir(exist_ok=True)
    settings = {"kafka": dict(kafka), "intake": {"shards": SHARDS}, "idle_seconds": 3.0, **more}
    (folder / "burstwatch.yaml").write_text(yaml.safe_dump(settings))
    (folder / "initiatives.yaml").write_bytes((SAMPLE / "initiatives.yaml").read_bytes())
    return folder


def config_for(folder: Path, settings: KafkaSettings, **more: object) -> Path:
    """Make a folder of configuration for a broker, and the topics."""
    write_config(folder, msgspec.to_builtins(settings), **more)
    create_topics(settings, SHARDS)
    return folder


class Worker:
    """A worker; ``log`` is what it wrote."""

    def __init__(self, config: Path, name: str = "worker") -> None:
        self.config = config
        self.name = name
        self._log = config / f"{name}.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        try:
            if failed is None:
                self.stop()
        finally:
            self.end()

    def start(self, **environment: str) -> Worker:
        """Start it; it is not ready yet."""
        command = [sys.executable, "-m", "streams", "worker", "--config", str(self.config), "--port", str(self.port)]
        with self._log.open("ab") as log:
            environ = {**os.environ, **environment}
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        return self

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process is not None
        return self.process.pid

    def wait_until_ready(self) -> Worker:
        """Wait until it holds its partitions."""
        wait_for(self.is_ready, f"{self.name} to be ready")
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} has ended:\n{self.log}"
        try:
            return b"true" in self.get("/readyz")
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return bytes(answer.read())

    def figures(self) -> dict[str, float]:
        """Return what Prometheus would scrape, by name and labels."""
        lines = self.get("/metrics").decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def figure(self, name: str) -> float:
        """Return a figure, added up over its labels."""
        return sum(value for key, value in self.figures().items() if key.split("{")[0] == name)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def send(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        return self.process.wait(timeout=60)

    def stop(self) -> None:
        """Stop it as an orchestrator does, and see that it ends well."""
        self.send(signal.SIGTERM)
        assert self.wait() == 0, self.log

    def end(self) -> None:
        """Make sure that nothing of it is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)
