"""Spend: exact sums of each minute by key, without the principal and the source."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.frame import Key


class Spend(msgspec.Struct, frozen=True):
    """Exact sums of a minute by key (without principal and source) and event minute; values (measures, rows)."""

    keys: list[Key]
    key: NDArray[np.int32]
    minute: NDArray[np.int32]
    values: NDArray[np.int64]
