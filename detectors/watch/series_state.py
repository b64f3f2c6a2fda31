"""What a shard remembers of its series."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.baselines.baselines import BaselineState
from detectors.clock import NEVER
from detectors.minutes.series import SeriesState
from detectors.watch.deployed import DeployedState
from detectors.watch.parts import PartsState
from detectors.watch.standing import HeldState


class Forgotten(msgspec.Struct):
    """What was forgotten so far."""

    day: int = NEVER
    """The newest day in which anything became known; days as of :data:`detectors.clock.MINUTES_PER_DAY`."""
    begun_anew: int = 0
    """How many series came back as new ones."""
    series_dropped: int = 0
    """How often series were dropped, and the others numbered anew."""
    keys_dropped: int = 0
    """The same of keys."""


class SeriesWatchState(msgspec.Struct):
    """Series, their baselines, and what each detector remembers (encoded by its kind)."""

    series: SeriesState
    baselines: BaselineState
    parts: PartsState
    deployed: DeployedState
    key_last: NDArray[np.int32]
    """The minute in which each key was last active."""
    held: HeldState
    """What was odd and still is."""
    forgotten: Forgotten = msgspec.field(default_factory=Forgotten)

    @property
    def count(self) -> int:
        """How many series have a row."""
        return len(self.series.names)
