"""Made series with marked incidents, a family a function: values and labels (0 or 1) by row.

The first three tenths of every series are free of incidents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Series = tuple[Floats, Labels]
Draw = np.random.Generator

_WAVES = ((0.2, 0.03, 0.3), (0.37, 0.01, -0.3), (0.4, 0.012, 2.0), (0.43, 0.012, -0.6), (0.65, 0.05, 0.5))
"""Centre, width and height of what a heart's beat is made of."""


def autoregressive(draw: Draw, rows: int, memory: float = 0.5, spread: float = 1.0) -> Floats:
    """Noise that remembers."""
    steps = draw.normal(0, spread * np.sqrt(1 - memory**2), rows)
    values = np.zeros(rows)
    for n in range(1, rows):
        values[n] = memory * values[n - 1] + steps[n]
    return values


def cycle(draw: Draw, rows: int, period: int) -> Floats:
    """Three harmonics of spread one."""
    at = np.arange(rows) * 2 * np.pi / period
    values = sum(draw.normal(0, 1 / h) * np.sin(h * at) + draw.normal(0, 1 / h) * np.cos(h * at) for h in (1, 2, 3))
    return np.asarray(values / np.std(values), np.float64)


def places(draw: Draw, rows: int, count: int, apart: int) -> list[int]:
    """Rows where incidents begin; nearer each other if there is no room."""
    found: list[int] = []
    tries = 0
    while len(found) < count:
        place, tries = int(draw.integers(int(0.3 * rows), rows - 300)), tries + 1
        if all(abs(place - other) > apart / (1 + tries // 1000) for other in found):
            found.append(place)
    return sorted(found)


def sign(draw: Draw) -> float:
    """Plus or minus one."""
    return float(draw.choice([-1.0, 1.0]))


def _seasonal(draw: Draw, noise: float = 1.0) -> Series:
    rows, period = int(draw.integers(3000, 8000)), int(draw.choice([24, 96, 144, 288]))
    values = 5 * cycle(draw, rows, period) + autoregressive(draw, rows, spread=noise)
    return values, np.zeros(rows, np.int64)


def spikes(draw: Draw) -> Series:
    """One to three rows far off, in seasonal data."""
    values, odd = _seasonal(draw)
    for place in places(draw, len(values), 6, 150):
        end = place + int(draw.integers(1, 4))
        values[place:end] += sign(draw) * draw.uniform(5, 10)
        odd[place:end] = 1
    return values, odd


def levels(draw: Draw) -> Series:
    """A level that shifts for 40 to 250 rows, in seasonal data."""
    values, odd = _seasonal(draw)
    for place in places(draw, len(values), 3, 600):
        end = place + int(draw.integers(40, 250))
        values[place:end] += sign(draw) * draw.uniform(3, 6)
        odd[place:end] = 1
    return values, odd


def missing_cycles(draw: Draw) -> Series:
    """Half a cycle or more that stays flat."""
    rows, period = int(draw.integers(3000, 8000)), int(draw.choice([48, 96, 144]))
    values, odd = 5 * cycle(draw, rows, period) + autoregressive(draw, rows, spread=0.7), np.zeros(rows, np.int64)
    for place in places(draw, rows, 3, 500):
        end = place + int(period * draw.uniform(0.5, 1.0))
        values[place:end] = values[place] + draw.normal(0, 0.3, end - place)
        odd[place:end] = 1
    return values, odd


def spreads(draw: Draw) -> Series:
    """Noise that becomes two and a half to five times as wide."""
    rows = int(draw.integers(2000, 6000))
    values, odd = autoregressive(draw, rows, 0.3), np.zeros(rows, np.int64)
    for place in places(draw, rows, 3, 500):
        end = place + int(draw.integers(50, 200))
        values[place:end] *= draw.uniform(2.5, 5)
        odd[place:end] = 1
    return values, odd


def trends(draw: Draw) -> Series:
    """A trend that bends for 100 to 250 rows."""
    rows = int(draw.integers(2000, 6000))
    values, odd = 0.002 * np.arange(rows) * draw.normal() + autoregressive(draw, rows), np.zeros(rows, np.int64)
    for place in places(draw, rows, 2, 700):
        end = place + int(draw.integers(100, 250))
        values[place:end] += np.arange(end - place) * sign(draw) * draw.uniform(0.04, 0.1)
        odd[place:end] = 1
    return values, odd


def beats(draw: Draw) -> Series:
    """A heart's beats, of which three are turned over, run backwards or are smeared."""
    rows, period = int(draw.integers(5000, 10_000)), int(draw.integers(80, 200))
    at, beat = np.linspace(0, 1, period), np.zeros(period)
    for centre, width, height in _WAVES:
        beat += height * np.exp(-0.5 * ((at - centre) / width) ** 2)
    parts, starts = [], [0]
    while starts[-1] < rows:
        length = int(period * draw.normal(1, 0.02))
        parts.append(np.interp(np.linspace(0, 1, length), at, beat) * draw.normal(1, 0.04))
        starts.append(starts[-1] + length)
    values, odd = np.concatenate(parts)[:rows] + draw.normal(0, 0.04, rows), np.zeros(rows, np.int64)
    late = [start for start in starts if 0.3 * rows < start < rows - 2 * period]
    for place in draw.choice(late, 3, replace=False):
        whole = values[place : place + period].copy()
        smeared = 0.3 * whole + 0.6 * np.sin(np.linspace(0, 2 * np.pi, period))
        values[place : place + period] = (-whole, whole[::-1], smeared)[int(draw.integers(3))]
        odd[place : place + period] = 1
    return values, odd


def walks(draw: Draw) -> Series:
    """A random walk that jumps, for good or for a moment."""
    rows = int(draw.integers(2000, 6000))
    values, odd = draw.normal(0, 1, rows).cumsum(), np.zeros(rows, np.int64)
    for place in places(draw, rows, 4, 300):
        stays = draw.random() < 0.5
        end = place + (3 if stays else int(draw.integers(1, 5)))
        values[place : None if stays else end] += sign(draw) * draw.uniform(6, 12)
        odd[place:end] = 1
    return values, odd


def heavy_tails(draw: Draw) -> Series:
    """Student's t with three degrees, shifted for 5 to 30 rows."""
    rows = int(draw.integers(2000, 8000))
    values, odd = draw.standard_t(3, rows), np.zeros(rows, np.int64)
    for place in places(draw, rows, 4, 150):
        end = place + int(draw.integers(5, 30))
        values[place:end] += sign(draw) * draw.uniform(3, 5)
        odd[place:end] = 1
    return values, odd


def tempos(draw: Draw) -> Series:
    """A wave that runs at half or twice its pace for one to three cycles."""
    rows, period = int(draw.integers(3000, 8000)), int(draw.integers(30, 120))
    pace, odd = np.full(rows, 1 / period), np.zeros(rows, np.int64)
    for place in places(draw, rows, 3, 600):
        end = place + int(draw.integers(period, 3 * period))
        pace[place:end] *= draw.choice([0.5, 2.0])
        odd[place:end] = 1
    return np.sin(2 * np.pi * np.cumsum(pace)) + draw.normal(0, 0.1, rows), odd


def counts(draw: Draw) -> Series:
    """Counts by chance, by the day, with bursts of three to forty rows."""
    rows = int(draw.integers(3000, 10_000))
    rate, odd = draw.uniform(0.3, 3) * (1.2 + np.sin(np.arange(rows) * 2 * np.pi / 288)), np.zeros(rows, np.int64)
    for place in places(draw, rows, 4, 150):
        end = place + int(draw.integers(3, 40))
        rate[place:end] = rate[place:end] * draw.uniform(3, 6) + 2
        odd[place:end] = 1
    return draw.poisson(rate).astype(float), odd


def switches(draw: Draw) -> Series:
    """Something on or off for a while, that sticks between, flutters, or becomes noisy."""
    rows = int(draw.integers(3000, 8000))
    turns = np.zeros(rows, np.int64)
    at = np.cumsum(draw.integers(80, 160, rows // 80))
    turns[at[at < rows]] = 1
    values, odd = (turns.cumsum() % 2) + draw.normal(0, 0.01, rows), np.zeros(rows, np.int64)
    for place in places(draw, rows, 3, 500):
        length = int(draw.integers(30, 120))
        part = slice(place, place + length)
        stuck, noisy = 0.5 + draw.normal(0, 0.01, length), values[part] + draw.normal(0, 0.1, length)
        values[part] = (stuck, (np.arange(length) // 5) % 2, noisy)[int(draw.integers(3))]
        odd[part] = 1
    return values, odd


def weeks(draw: Draw) -> Series:
    """Ten weeks by the hour, with days, weeks and a trend; single hours off, and sometimes a trend that bends."""
    at = np.arange(1680)
    values = at * draw.normal() * 0.5 + 100 * np.sin(2 * np.pi * at / 24 + draw.uniform(0, 6)) * draw.uniform(0.5, 2)
    values += 60 * np.sin(2 * np.pi * at / 168 + draw.uniform(0, 6)) + 40 * np.sin(2 * np.pi * at / 12)
    values += draw.normal(0, 10, len(at))
    odd = np.zeros(len(at), np.int64)
    for place in places(draw, len(at), 5, 60):
        values[place] += sign(draw) * draw.uniform(60, 300)
        odd[place] = 1
    if draw.random() < 0.5:
        bend = int(draw.integers(800, 1500))
        values[bend:] += (at[bend:] - bend) * sign(draw)
        odd[bend] = 1
    return values, odd


def servers(draw: Draw) -> Series:
    """A fortnight of five minutes; bursts, outages, a spike or a new level, marked widely as people mark them."""
    rows = 4032
    values = 20 + 8 * cycle(draw, rows, 288) * draw.uniform(0.2, 1) + autoregressive(draw, rows, 0.9, 2.0)
    values = np.maximum(values, 0)
    lawful = draw.random(rows) < 0.01
    values[lawful] += draw.exponential(8, int(lawful.sum()))
    odd = np.zeros(rows, np.int64)
    for place in places(draw, rows, 2, 600):
        end, kind = place + int(draw.integers(20, 120)), int(draw.integers(4))
        if kind == 0:
            values[place:end] += draw.uniform(10, 20)
        elif kind == 1:
            values[place:end] = 0
        elif kind == 2:
            values[place] += 60
        else:
            values[place:] += draw.uniform(8, 15)
        odd[max(place - 20, 0) : place + 180] = 1
    return values, odd


FAMILIES: tuple[Callable[[Draw], Series], ...] = (
    spikes, levels, missing_cycles, spreads, trends, beats, walks, heavy_tails, tempos, counts, switches, weeks,
    servers,
)  # fmt: skip


def series(families: Iterable[Callable[[Draw], Series]], seed: int, each: int) -> Iterator[tuple[str, Floats, Labels]]:
    """Yield name, values and labels of some series a family."""
    for number, family in enumerate(families):
        for copy in range(each):
            values, odd = family(np.random.default_rng([seed, number, copy]))
            yield family.__name__, values, odd
