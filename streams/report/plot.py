"""Pictures of spend over time: shapes are SVG that stretches, words are HTML that does not, so phones show both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_DAY
from streams.report.incidents import Picture
from streams.report.markup import tag
from streams.wording import clock, day

WIDTH, HEIGHT = 1000.0, 300.0
MOST_STEPS = 640
"""Of a strip that shows all of a period."""
_TICK_STEPS_MINUTES = (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 28 * 1440)
_MOST_TICKS = 7
_MOST_LEVELS = 5
_LAST_TICK = 0.97
"""A moment further to the right than this share has no room for its name."""


@dataclass(frozen=True)
class Mark:
    """A moment worth a line, with what to say of it; a quiet one has only a tick at the foot and a title."""

    minute: int
    kind: Literal["deployment", "onset", "raised", "resolved", "quiet"]
    text: str


@dataclass(frozen=True)
class Axes:
    """Minutes and dollars to coordinates.

    Parameters
    ----------
    first_minute, end_minute
        What the picture's width covers.
    top_usd
        What its height covers, from 0.
    """

    first_minute: int
    end_minute: int
    top_usd: float

    def x(self, minute: float) -> float:
        """Return how far a minute is from the left, 0 to 1; outside it sticks to the edge."""
        return min(max((minute - self.first_minute) / max(self.end_minute - self.first_minute, 1), 0.0), 1.0)

    def y(self, amount: float) -> float:
        """Return how far an amount is from the top, 0 to 1."""
        return 1.0 - min(max(amount / self.top_usd, 0.0), 1.0)

    def at(self, minute: float, amount: float) -> tuple[str, str]:
        """Coordinates in the SVG, rounded."""
        return f"{self.x(minute) * WIDTH:.4g}", f"{self.y(amount) * HEIGHT:.4g}"


def step_path(
    axes: Axes, bucket_minutes: int, values: NDArray[np.float64], chosen: slice = slice(None), *, closed: bool = False
) -> str:
    """Return the path of a line of steps over the chosen buckets, or with ``closed`` of the area below it."""
    buckets = range(*chosen.indices(len(values)))
    if not buckets:
        return ""
    begin = axes.first_minute + buckets.start * bucket_minutes
    before = 0.0 if closed else float(values[buckets.start])
    x, y = axes.at(begin, before)
    corners = [f"M{x} {y}"]
    for n in buckets:
        value = float(values[n])
        if value != before:
            x, y = axes.at(axes.first_minute + n * bucket_minutes, value)
            corners.append(f"H{x}V{y}")
        before = value
    corners.append(f"H{axes.at(axes.first_minute + buckets.stop * bucket_minutes, 0)[0]}")
    return "".join(corners) + (f"V{HEIGHT:g}Z" if closed else "")


def excess_path(
    axes: Axes, bucket_minutes: int, observed: NDArray[np.float64], expected: NDArray[np.float64], chosen: slice
) -> str:
    """Return the path of what is observed above expected, in the chosen buckets."""
    path = []
    for n in range(*chosen.indices(len(observed))):
        if observed[n] > expected[n]:
            left, low = axes.at(axes.first_minute + n * bucket_minutes, float(expected[n]))
            right, high = axes.at(axes.first_minute + (n + 1) * bucket_minutes, float(observed[n]))
            path.append(f"M{left} {low}V{high}H{right}V{low}Z")
    return "".join(path)


def nice_top(largest: float) -> tuple[float, float]:
    """Return a round number that is no less than the largest value, and the step of the lines below it.

    Examples
    --------
    >>> nice_top(7.2), nice_top(0.031), nice_top(0)
    ((8.0, 2.0), (0.04, 0.01), (1.0, 0.5))
    """
    if largest <= 0:
        return 1.0, 0.5
    power = 10.0 ** np.floor(np.log10(largest / _MOST_LEVELS))
    step = next(s for s in (1, 2, 5, 10) if s * power * _MOST_LEVELS >= largest) * power
    return float(round(np.ceil(largest / step - 1e-9) * step, 12)), float(round(step, 12))


def time_ticks(first_minute: int, end_minute: int) -> list[tuple[int, str]]:
    """Return round moments in a stretch of time, and what to call them: the day at midnight, else the time."""
    step = next(s for s in (*_TICK_STEPS_MINUTES, 10**9) if (end_minute - first_minute) / s <= _MOST_TICKS)
    ticks = range(-(-first_minute // step) * step, end_minute, step)
    return [(at, day(at) if at % MINUTES_PER_DAY == 0 else clock(at)) for at in ticks]


def percent(share: float) -> str:
    """Return a share as a length in CSS."""
    return f"{share * 100:.5g}%"


def frame(axes: Axes, step_usd: float, shapes: Sequence[Element], overlays: Sequence[Element]) -> Element:
    """Return the body of a picture: lines of dollars, shapes, moments below, and what lies over it.

    Parameters
    ----------
    step_usd
        A line of dollars is drawn at each multiple of it.
    """
    levels = (np.arange(0, round(axes.top_usd / step_usd) + 1) * step_usd).tolist()
    lines = [
        tag("line", class_="grid", x1="0", x2=f"{WIDTH:g}", y1=axes.y(a) * HEIGHT, y2=axes.y(a) * HEIGHT)
        for a in levels[1:]
    ]
    digits = next(n for n in range(13) if round(step_usd, n) == step_usd or n == 12)
    names = [
        tag("span", f"${a:,.{digits}f}" if a else "$0", class_="level", style=f"top:{percent(axes.y(a))}")
        for a in levels
    ]
    ticks = [
        tag("span", name, class_="tick", style=f"left:{percent(axes.x(at))}")
        for at, name in time_ticks(axes.first_minute, axes.end_minute)
        if axes.x(at) <= _LAST_TICK
    ]
    svg = tag(
        "svg",
        *lines,
        *shapes,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )
    field = tag("div", svg, *names, class_="field")
    return tag("div", *overlays, field, tag("div", *ticks, class_="ticks", aria_hidden="true"), class_="body")


def mark_lines(axes: Axes, marks: Sequence[Mark]) -> tuple[str, list[Element]]:
    """Return a style that says how many rows of words stand above a picture, and its marks.

    Words stand to the right of their line in the left half, else to its left; the lines nearest to the edges reach
    highest, so that no line runs through the words of another on the same side. Both sides share rows where there is
    room, and have their own on a narrow screen.
    """
    loud = [m for m in marks if m.kind != "quiet"]
    left = sorted((m for m in loud if axes.x(m.minute) <= 0.5), key=lambda m: m.minute)
    right = sorted((m for m in loud if axes.x(m.minute) > 0.5), key=lambda m: -m.minute)
    rows = [(row, row, mark, "") for row, mark in enumerate(left)]
    rows += [(row, len(left) + row, mark, " flip") for row, mark in enumerate(right)]
    lines = [
        tag(
            "div",
            tag("span", mark.text),
            class_=f"mark {mark.kind}{flip}",
            style=f"left:{percent(axes.x(mark.minute))};--row:{row};--narrow-row:{narrow_row}",
        )
        for row, narrow_row, mark, flip in rows
    ]
    quiet = [
        tag("i", class_="quiet", title=m.text, style=f"left:{percent(axes.x(m.minute))}")
        for m in marks
        if m.kind == "quiet"
    ]
    return f"--rows:{max(len(left), len(right))};--narrow-rows:{len(loud)}", lines + quiet


def spend_plot(picture: Picture, marks: Sequence[Mark], told: str) -> Element:
    """Return the picture of an incident.

    Parameters
    ----------
    told
        What the picture shows, for those who cannot see it.
    """
    size, observed, expected, burning = picture.bucket_minutes, picture.observed, picture.expected, picture.burning
    top, step = nice_top(float(observed.max(initial=0)) * 1.04)
    axes = Axes(picture.first_minute, picture.end_minute, top)
    shapes = [
        tag("path", class_="area", d=step_path(axes, size, observed, closed=True)),
        tag("path", class_="excess", d=excess_path(axes, size, observed, expected, burning)),
        tag("path", class_="observed", d=step_path(axes, size, observed)),
        tag("path", class_="expected", d=step_path(axes, size, expected, burning)),
    ]
    rows, lines = mark_lines(axes, marks)
    body = frame(axes, step, shapes, lines)
    inside = range(*burning.indices(len(observed)))
    points = {
        "first": picture.first_minute,
        "bucket": size,
        "observed": [float(f"{v:.4g}") for v in observed.tolist()],
        "expected": [float(f"{v:.4g}") if n in inside else None for n, v in enumerate(expected.tolist())],
    }
    return tag(
        "div", body, class_="plot", role="img", aria_label=told, style=rows,
        data_points=json.dumps(points, separators=(",", ":")),
    )  # fmt: skip


def strip(
    first_minute: int, bucket_minutes: int, values: NDArray[np.float64], bands: Sequence[Element], lanes: int, told: str
) -> Element:
    """Return a long stretch of time as a low picture of dollars an hour, with bands over it.

    Parameters
    ----------
    values
        Mean dollars an hour by bucket, shape (buckets,), at least one.
    bands, lanes
        What lies over it, and how many rows of words that needs.
    told
        What the picture shows, for those who cannot see it.
    """
    top = nice_top(float(values.max()))[0]
    axes = Axes(first_minute, first_minute + bucket_minutes * len(values), top)
    shapes = [
        tag("path", class_="area", d=step_path(axes, bucket_minutes, values, closed=True)),
        tag("path", class_="observed", d=step_path(axes, bucket_minutes, values)),
    ]
    body = frame(axes, top, shapes, bands)
    return tag(
        "div", body, class_="plot strip", role="group", aria_label=told, style=f"--rows:{lanes};--narrow-rows:{lanes}"
    )
