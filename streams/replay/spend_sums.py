"""Exact sums of what was spent, by day and label: whole numbers, so that two runs can be compared to the token."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY, moment_of
from detectors.frame import DIMENSIONS, MEASURES
from detectors.watch.reports import MinuteReport

KEPT = ("team", "service", "environment", "initiative", "provider", "model")
_PLACES = tuple(DIMENSIONS.index(name) for name in KEPT)


class SpendSums:
    """Collects the sums from minute reports, whatever their order; late rows count in their own day."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, tuple[str, ...]], NDArray[np.int64]] = {}

    def add(self, report: MinuteReport) -> None:
        """Count a report."""
        spend = report.spend
        if spend is None:
            return
        labels = [tuple(key[place] for place in _PLACES) for key in spend.keys]
        for row, (key, minute) in enumerate(zip(spend.key.tolist(), spend.minute.tolist(), strict=True)):
            place = minute // MINUTES_PER_DAY, labels[key]
            before = self._sums.get(place)
            self._sums[place] = spend.values[:, row].copy() if before is None else before + spend.values[:, row]

    def encode(self) -> bytes:
        """Return a JSON object a line, by day and labels: labels, counts, and nano-dollars (``_nano``)."""
        lines = []
        for (day, labels), values in sorted(self._sums.items(), key=lambda item: item[0]):
            date = {"day": moment_of(day * MINUTES_PER_DAY).date().isoformat()}
            counts = dict(zip(MEASURES, values.tolist(), strict=True))
            lines.append({**date, **dict(zip(KEPT, labels, strict=True)), **counts})
        return msgspec.json.Encoder().encode_lines(lines)
