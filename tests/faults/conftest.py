"""A run for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.run import Run, a_run


@pytest.fixture
def run(brokers: str, tmp_path: Path) -> Iterator[Run]:
    """A run with topics of its own."""
    with a_run(brokers, tmp_path) as made:
        yield made
