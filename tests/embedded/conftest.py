"""A service for each test, and a piece of the sample."""

import gzip
import signal
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.embedded.running import ROOT, TOKEN, Service
from tests.faults.receiver import Receiver


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    if service.process is not None and service.process.poll() is None:
        service.end(signal.SIGKILL)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        yield session


@pytest.fixture(scope="session")
def sample_lines() -> list[bytes]:
    """Usage of two of the sample's days, with a page from its first word to its last."""
    with gzip.open(ROOT / "tests" / "sample" / "usage.ndjson.gz") as lines:
        return [line.strip() for line in islice(lines, 55_500, 67_500)]
