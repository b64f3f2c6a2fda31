"""Reports: what a shard says of a minute, and the columns that it says it in."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.events import DeploymentEvent, Feedback
from detectors.minutes.series import SeriesName
from detectors.minutes.spends import Spend
from detectors.state import codec
from detectors.verdicts import Seen, Verdicts
from detectors.watch.standing import Standing

S = TypeVar("S", bound=msgspec.Struct)


class SeriesReport(msgspec.Struct, frozen=True):
    """The rows of a minute that somebody wants to look at again, by name, with the word of each detector."""

    names: list[SeriesName]
    teams: list[str]
    principals: list[str]
    """Who sent most of what each row's service costs above the usual; empty where nobody stands out."""
    seen: Seen
    verdicts: Verdicts
    """Of all detectors side by side, in the order of the configuration."""

    def halves(self) -> tuple[SeriesReport, SeriesReport]:
        """Return two that say the same, each of half of the rows."""
        middle = len(self.names) // 2
        return self._of_rows(slice(middle)), self._of_rows(slice(middle, None))

    def _of_rows(self, rows: slice) -> SeriesReport:
        return SeriesReport(
            self.names[rows], self.teams[rows], self.principals[rows], take(self.seen, rows), take(self.verdicts, rows)
        )


class MinuteReport(msgspec.Struct, frozen=True):
    """What a shard says of a minute. All minutes up to ``closed_through`` are closed; silent ones say nothing."""

    shard: int
    minute: int
    closed_through: int
    report: SeriesReport | None
    spend: Spend | None
    deployments: list[DeploymentEvent]
    duplicates: int = 0
    late: int = 0
    feedback: list[Feedback] = []
    standing: list[Standing] = []
    """What was odd and still is."""

    def halves(self) -> tuple[MinuteReport, MinuteReport] | None:
        """Return two that say the same one after the other, of which only the second closes the minute.

        None where there is nothing to halve. Decisions stay together: they take effect after what was closed before.
        """
        rows = 0 if self.report is None else len(self.report.names)
        keys = 0 if self.spend is None else len(self.spend.keys)
        if max(rows, keys, len(self.standing), len(self.deployments)) <= 1:
            return None
        report = self.report.halves() if self.report is not None and rows > 1 else (self.report, None)
        spend = self.spend.halves() if self.spend is not None and keys > 1 else (self.spend, None)
        made, still = len(self.deployments) // 2, len(self.standing) // 2
        first = msgspec.structs.replace(
            self, closed_through=min(self.closed_through, self.minute - 1), report=report[0], spend=spend[0],
            deployments=self.deployments[:made], standing=self.standing[:still],
        )  # fmt: skip
        second = msgspec.structs.replace(
            self, report=report[1], spend=spend[1], deployments=self.deployments[made:], standing=self.standing[still:],
            duplicates=0, late=0, feedback=[],
        )  # fmt: skip
        return first, second

    def encode(self) -> bytes:
        """Bytes that :meth:`decode` reads."""
        return codec.encode(self)

    @staticmethod
    def decode(data: bytes) -> MinuteReport:
        """Return the report that :meth:`encode` wrote."""
        return codec.decode(data, MinuteReport)


def by_minute_and_name(minute: NDArray[np.int32], names: list[SeriesName]) -> NDArray[np.intp]:
    """Return the order of rows by minute and name of series."""
    places = [(at, name.view, name.values) for at, name in zip(minute.tolist(), names, strict=True)]
    return np.array(sorted(range(len(places)), key=places.__getitem__), np.intp)


def take(columns: S, rows: NDArray[np.intp] | slice) -> S:
    """Some rows of a struct of columns, structs within included; a slice copies nothing."""
    picked = [
        value[rows] if type(value) is np.ndarray else take(value, rows) if isinstance(value, msgspec.Struct) else value
        for value in msgspec.structs.astuple(columns)
    ]
    return type(columns)(*picked)


def merge(parts: list[S]) -> S:
    """Rows of several structs of columns, one after the other; what is no column must be alike."""
    first = parts[0]
    if len(parts) == 1:
        return first
    merged = {}
    for name in first.__struct_fields__:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            merged[name] = np.concatenate(values)
        else:
            merged[name] = merge(values) if isinstance(values[0], msgspec.Struct) else values[0]
    return type(first)(**merged)
