"""A real service in a process of its own, on a free port, with its state in a folder of the test."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from streams.embedded.store import Totals

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-tests"


def wait_until(condition: Callable[[], bool], what: str, at_most_seconds: float = 30) -> None:
    deadline = time.monotonic() + at_most_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {at_most_seconds} s for {what}")
        time.sleep(0.02)


class Service:
    """Starts, stops and kills the service; talks to it; reads its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state" / "burstwatch.db"
        self.config = folder / "config"
        self.config.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.configure()
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, more: str = "", http: str = "") -> None:
        state = f"{{path: {self.state}, checkpoint_seconds: 0.2}}"
        (self.config / "burstwatch.yaml").write_text(f"http: {{port: {self.port}{http}}}\nstate: {state}\n{more}")

    def start(self, **environment: str) -> None:
        self.launch(**environment)
        wait_until(self._is_ready, "the service to be ready")

    def launch(self, **environment: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams", "run", "--config", str(self.config)],
                cwd=ROOT, env={**os.environ, "BURSTWATCH_TOKEN": TOKEN, **environment}, stdout=log, stderr=log,
            )  # fmt: skip

    def printed(self) -> str:
        return (self.folder / "log").read_text()

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended: {self.printed()}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                return b"200 OK" in connection.recv(100)
        except OSError:
            return False

    def send(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait; return the exit code."""
        self.send(how)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=30)

    def query(self, asked: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(f"file:{self.state}?mode=ro", uri=True) as connection:
            return connection.execute(asked).fetchall()

    def totals(self) -> Totals:
        found = self.query("SELECT value FROM checkpoint WHERE name = 'totals'")
        return msgspec.json.decode(cast("bytes", found[0][0]), type=Totals) if found else Totals()

    def alerts(self) -> list[bytes]:
        return [bytes(row[0]) for row in self.query("SELECT alert FROM deliveries ORDER BY number")]  # type: ignore[call-overload]

    def has_counted_everything(self) -> bool:
        return self.query("SELECT count(*) FROM inbox") == [(0,)]
