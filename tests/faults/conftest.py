"""A broker for the session, and a run for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.broker import Broker, brokers_named
from tests.faults.run import Run, a_run


@pytest.fixture(scope="session")
def brokers() -> Iterator[str]:
    """Addresses of the broker."""
    named = brokers_named()
    if named:
        yield named
        return
    with Broker() as broker:
        yield broker.address


@pytest.fixture
def run(brokers: str, tmp_path: Path) -> Iterator[Run]:
    """A run with topics of its own."""
    with a_run(brokers, tmp_path) as made:
        yield made
