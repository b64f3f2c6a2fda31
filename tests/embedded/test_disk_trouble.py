"""A disk that is full, read-only, locked or damaged: said plainly, nothing acknowledged that is not kept, got over."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.embedded.running import Service, wait_until
from tests.embedded.test_crashes import without_crashes
from tests.faults.receiver import Receiver
from tests.faults.run import ROUTES

DISK_BYTES = 24 * 1024 * 1024
EVENTS_A_REQUEST = 250
PAGE_BYTES = 4096


def mount(folder: Path, *options: str) -> None:
    subprocess.run(["mount", *options, "tmpfs", str(folder)], check=True, capture_output=True)


@pytest.fixture
def small_disk(service: Service) -> Iterator[Path]:
    """A file system of its own under the service's state, with little room."""
    folder = service.state.parent
    folder.mkdir()
    try:
        mount(folder, "-t", "tmpfs", "-o", f"size={DISK_BYTES}")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a file system")
    yield folder
    if service.process is not None and service.process.poll() is None:
        service.end(signal.SIGKILL)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def no_room(disk: Path) -> Iterator[None]:
    """Fill the disk to its last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    yield
    filler.unlink()


@contextmanager
def locked(disk: Path) -> Iterator[None]:
    """Hold the database as a backup tool might."""
    other = sqlite3.connect(disk / "burstwatch.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


class Sender:
    """Posts the sample until told to stop; knows what was acknowledged."""

    def __init__(self, service: Service, client: aiohttp.ClientSession, lines: list[bytes]) -> None:
        self._service, self._client, self._lines = service, client, lines
        self.acknowledged: list[bytes] = []

    async def post(self) -> int:
        """Post the next events, or the last ones again; return the status."""
        start = len(self.acknowledged)
        chunk = self._lines[start : start + EVENTS_A_REQUEST] or self._lines[-EVENTS_A_REQUEST:]
        async with self._client.post(f"{self._service.url}/v1/usage", data=b"\n".join(chunk)) as answer:
            if answer.status == 202:
                self.acknowledged += chunk
            return answer.status

    async def post_until(self, status: int) -> None:
        while self._lines[len(self.acknowledged) :]:
            if await self.post() == status:
                return
        raise AssertionError(f"never answered {status}")

    async def is_ready(self) -> tuple[bool, str]:
        """Return what ``/readyz`` says."""
        async with self._client.get(f"{self._service.url}/readyz") as answer:
            return answer.status == 200, await answer.text()

    async def post_the_rest(self) -> None:
        """Post what is left, as a sender does who tries again after a 503."""
        while self._lines[len(self.acknowledged) :]:
            if await self.post() != 202:
                await asyncio.sleep(0.1)


def assert_exact(service: Service, sender: Sender) -> None:
    """All that was acknowledged is counted, once; the alerts are those of an undisturbed run."""
    wait_until(service.has_counted_everything, "the last checkpoint", at_most_seconds=60)
    spend_nano, alerts = without_crashes(service.config, sender.acknowledged)
    assert len(alerts) >= 2
    assert (service.totals().spend_nano, service.alerts()) == (spend_nano, alerts)


async def test_a_full_disk_is_said_and_got_over(
    service: Service, small_disk: Path, client: aiohttp.ClientSession, sample_lines: list[bytes]
) -> None:
    await asyncio.to_thread(service.start)
    sender = Sender(service, client, sample_lines)
    for _ in range(2):
        for _ in range(8):
            assert await sender.post() == 202
        with no_room(small_disk):
            await sender.post_until(503)
            is_ready, told = await sender.is_ready()
            assert (is_ready, "cannot be written" in told) == (False, True)
        await sender.post_until(202)
    with no_room(small_disk):
        await sender.post_until(503)
        await asyncio.to_thread(service.end, signal.SIGKILL)
    await asyncio.to_thread(service.start)
    await sender.post_the_rest()
    await asyncio.to_thread(assert_exact, service, sender)
    assert await sender.is_ready() == (True, '{"ready":true,"failing":{}}')


async def test_a_file_that_somebody_locks_is_waited_for_and_the_service_answers(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes], receiver: Receiver
) -> None:
    receiver.is_down = True
    (service.config / "routes.yaml").write_text(ROUTES)
    await asyncio.to_thread(service.start, ALERT_URL=receiver.url)
    sender = Sender(service, client, sample_lines)
    await sender.post_the_rest()
    await asyncio.to_thread(wait_until, lambda: receiver.refused > 0, "a delivery that is tried again and again")
    with locked(service.state.parent):
        posting = asyncio.create_task(sender.post())
        for _ in range(20):  # more than a try takes, so that its outcome is to be written
            await sender.is_ready()
            await asyncio.sleep(0.1)
        assert not posting.done(), "it answers, although nothing can be written"
    assert await posting == 202
    receiver.is_down = False
    await asyncio.to_thread(assert_exact, service, sender)
    await asyncio.to_thread(wait_until, lambda: len(receiver.told()) == len(service.alerts()), "all deliveries")


def test_a_disk_that_is_read_only_is_named_at_the_start(service: Service, small_disk: Path) -> None:
    mount(small_disk, "-o", "remount,ro")
    service.launch()
    assert service.wait() == 1
    assert "burstwatch.db: Read-only file system" in service.printed().splitlines()[-1]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (0, "file is not a database"),
        (PAGE_BYTES, "is damaged (*** in database main"),
        ("the middle of a state", "is damaged at incidents"),
    ],
)
async def test_a_damaged_state_is_refused_with_the_cure(
    service: Service, client: aiohttp.ClientSession, sample_lines: list[bytes], where: int | str, told: str
) -> None:
    await asyncio.to_thread(service.start)
    await Sender(service, client, sample_lines).post()
    wait_until(service.has_counted_everything, "the checkpoint")
    assert await asyncio.to_thread(service.end, signal.SIGTERM) == 0
    with contextlib.closing(sqlite3.connect(service.state)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what is in the log would mend the file
        (state,) = connection.execute("SELECT part FROM page WHERE name = 'incidents/rest'").fetchone()
    with service.state.open("r+b") as file:
        file.seek(where if isinstance(where, int) else file.read().index(state[-60:]))
        file.write(b"\xa5" * 40)
    await asyncio.to_thread(service.launch)
    assert await asyncio.to_thread(service.wait) == 1
    last = service.printed().splitlines()[-1]
    assert told in last
    assert last.endswith("restore it from a backup, or move it away to begin anew")
