"""One real Apache Kafka for the session, for the tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker.broker import Broker, brokers_named


@pytest.fixture(scope="session")
def brokers() -> Iterator[str]:
    """Addresses of the broker."""
    named = brokers_named()
    if named:
        yield named
        return
    with Broker() as broker:
        yield broker.address
