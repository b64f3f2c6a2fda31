"""Reports: what a shard says of a minute, and the columns that it says it in."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.events import DeploymentEvent, Feedback
from detectors.series import SeriesName
from detectors.spends import Spend
from detectors.standing import Standing
from detectors.verdicts import Seen, Verdicts

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
