"""A real Apache Kafka for the tests: one KRaft node from Maven's artifacts, or the one that the environment names."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

BROKERS_VARIABLE = "BURSTWATCH_TEST_BROKERS"
START_SECONDS = 60
STOP_SECONDS = 30
_HERE = Path(__file__).resolve().parent
_POM = _HERE / "pom.xml"
_CACHE = _HERE.parents[1] / ".cache"


class BrokerMissingError(RuntimeError):
    """No broker can be started; the message says what to install."""


def require_java_and_maven() -> None:
    """Fail with the cure unless Java 17 or newer and Maven are there."""
    missing = []
    java = shutil.which("java")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr if java else ""
    found = re.search(r'version "(\d+)', told)
    if not found or int(found[1]) < 17:
        missing.append(f"Java 17 or newer (found: {found[1] if found else 'none'})")
    if not shutil.which("mvn"):
        missing.append("Maven (mvn)")
    if missing:
        raise BrokerMissingError(
            f"The Kafka tests start a real Apache Kafka and lack {' and '.join(missing)}. "
            "Install them (Debian: apt-get install openjdk-17-jre-headless maven) "
            f"or name a broker that runs: {BROKERS_VARIABLE}=127.0.0.1:9092"
        )


def kafka_jars() -> Path:
    """Return the directory with Kafka's jars; fetched by Maven the first time."""
    version = re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)", _POM.read_text())
    assert version
    jars = _CACHE / f"kafka-{version[1]}"
    if not jars.is_dir():
        _CACHE.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=_CACHE, prefix="kafka-fetch-"))
        command = ["mvn", "--quiet", "--batch-mode", f"--file={_POM}", "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={fresh}"], capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode:
            shutil.rmtree(fresh)
            raise BrokerMissingError(f"Maven could not fetch Apache Kafka:\n{done.stdout}{done.stderr}")
        with contextlib.suppress(OSError):  # somebody else was faster
            fresh.rename(jars)
        shutil.rmtree(fresh, ignore_errors=True)
    return jars


def free_port() -> int:
    """Return a TCP port that nobody listens on, below those that the system gives to whoever connects somewhere."""
    while True:
        with socket.socket() as listener, contextlib.suppress(OSError):
            port = random.randrange(20_000, 32_000)
            listener.bind(("127.0.0.1", port))
            return port


class Broker:
    """One node of Kafka in a directory of its own.

    It survives :meth:`kill` and :meth:`start` with its data. ``address`` is what clients bootstrap from.
    """

    def __init__(self) -> None:
        require_java_and_maven()
        self._jars = kafka_jars()
        self._controller_port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="burstwatch-broker-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"127.0.0.1:{self._port}"
        self.log = self._directory / "broker.log"
        self._settings = self._directory / "server.properties"
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        named = f"--cluster-id={cluster}"  # it may begin with a dash, which would be taken for an option by itself
        self._java("kafka.tools.StorageTool", "format", named, "-c", str(self._settings)).wait(START_SECONDS)

    def start(self) -> Self:
        """Start and wait until it answers."""
        self._process = self._java("kafka.Kafka", str(self._settings))
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and remove its data."""
        self._end(signal.SIGKILL if self._process and self._process.poll() is not None else signal.SIGTERM)
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _properties(self) -> dict[str, object]:
        """What the node is told."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "controller.listener.names": "CONTROLLER",
            "log.dir": self._directory / "data",
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # After a kill the controller lets the broker back once its old session is over.
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 1500,
            # A test that ends must not wait for the broker's housekeeping.
            "controlled.shutdown.enable": "false",
        }

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["java", "-Xms256M", "-Xmx768M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self._jars}/*", main, *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _answers(self) -> bool:
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                pass
            admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{self._port}", request_timeout_ms=2000)
        except (OSError, KafkaError):
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()


def brokers_named() -> str | None:
    """Return the brokers that the environment names, if any."""
    return os.environ.get(BROKERS_VARIABLE) or None
