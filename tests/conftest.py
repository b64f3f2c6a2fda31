"""For all tests: the same examples every time, and one real Apache Kafka for those that ask for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.broker.broker import Broker, brokers_named

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def brokers() -> Iterator[str]:
    """Addresses of the broker."""
    named = brokers_named()
    if named:
        yield named
        return
    with Broker() as broker:
        yield broker.address
