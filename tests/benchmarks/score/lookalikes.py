"""Made series in the manner of public collections (NAB, Yahoo S5, the UCR anomaly archive, AIOPS), a family a function.

The first three tenths of every series are free of incidents, as in :mod:`tests.benchmarks.score.families`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.benchmarks.score.families import Draw, Floats, Labels, Series, autoregressive, places, sign

_PULSES = (
    ((0.2, 0.03, 0.25), (0.37, 0.012, -0.25), (0.4, 0.014, 1.8), (0.43, 0.014, -0.5), (0.65, 0.05, 0.45)),
    ((0.2, 0.06, 1.0), (0.4, 0.09, 0.6), (0.55, 0.05, 0.25)),
    ((0.15, 0.04, 0.8), (0.3, 0.06, -0.6), (0.5, 0.05, 1.1), (0.62, 0.03, -0.4), (0.8, 0.08, 0.5)),
)
"""Heart, blood pressure, gait: centre, width and height of what a pulse is made of."""


def working_hours(draw: Draw) -> Series:
    """Five minutes, high from nine to six; one day that stays low, rises by half, falls, or stands still."""
    at = np.arange(4032)
    busy = (at % 288 >= 108) & (at % 288 < 216)
    wide = np.where(busy, 4, 1) * draw.uniform(1, 4)
    values = np.where(busy, draw.uniform(60, 90), 20.0) + draw.uniform(-1, 1, len(at)) * wide
    begin = int(draw.integers(6, 13)) * 288 + 108
    part, calm = slice(begin, begin + 108), draw.uniform(-1, 1, 108)
    strange = (20 + 2 * calm, values[part] * 1.5, draw.uniform(-20, 5) + 2 * calm, np.full(108, values[begin]))
    values[part] = strange[int(draw.integers(4))]
    return values, _marked(len(at), [(begin, begin + 108)])


def half_hours(draw: Draw) -> Series:
    """Months of half hours with days and weekends; days that are quiet, wild at night, or like a Sunday."""
    days = int(draw.integers(90, 170))
    at = np.arange(48 * days)
    hour, free = at % 48 / 48, at // 48 % 7 >= 5
    shape = 1 + 0.7 * np.sin(2 * np.pi * (hour - 0.4)) + 0.35 * np.sin(4 * np.pi * (hour - 0.1))
    shape += 0.4 * free * np.sin(2 * np.pi * (hour - 0.9))
    values = 15_000 * shape + autoregressive(draw, len(at), 0.8, 700)
    spans = []
    for day in draw.choice(np.arange(int(0.3 * days) + 1, days - 2), 5, replace=False).tolist():
        begin, kind = 48 * day, int(draw.integers(3))
        if kind == 0:
            values[begin : begin + 48] *= draw.uniform(0.3, 0.65)
        elif kind == 1:
            values[begin : begin + 12] *= draw.uniform(1.6, 2.2)
        else:
            sunday = begin - 48 * (day % 7 + 1)
            values[begin : begin + 48] = 0.9 * values[sunday : sunday + 48]
        spans.append((begin, begin + (12 if kind == 1 else 48)))
    return np.maximum(values, 100), _marked(len(at), spans)


def changes(draw: Draw) -> Series:
    """Ten weeks by the hour in up to four parts, each with its slope, level or seasons; single hours off."""
    at, noise = np.arange(1680), draw.uniform(5, 40)
    begins = [0, *places(draw, len(at), int(draw.integers(1, 4)), 200)]
    values, slope, level = draw.normal(0, noise, len(at)), draw.normal() * 0.5, 0.0
    heights, phases = draw.uniform(30, 300, 3), draw.uniform(0, 6, 3)
    for begin, end in zip(begins, [*begins[1:], len(at)], strict=True):
        kind = int(draw.integers(3)) if begin else 3
        slope = draw.normal() * 1.5 if kind == 0 else slope
        level += sign(draw) * draw.uniform(200, 600) if kind == 1 else 0.0
        heights = draw.uniform(30, 300, 3) if kind == 2 else heights
        turns = 2 * np.pi * at[begin:end, None] / np.array([12, 24, 168]) + phases
        values[begin:end] += level + slope * (at[begin:end] - begin) + np.sin(turns) @ heights
        level += slope * (end - begin)
    off = places(draw, len(at), 4, 10)
    values[off] += draw.choice([-1.0, 1.0], 4) * draw.uniform(5, 14, 4) * noise
    return values, _marked(len(at), [(place, place + 1) for place in (*off, *begins[1:])])


def minutes(draw: Draw) -> Series:
    """Eleven days of counts by the minute; bursts and dips of one to sixty minutes."""
    at = np.arange(1440 * 11)
    hour = at / 1440
    rate = 1 + 0.5 * np.sin(2 * np.pi * (hour - 0.3)) + 0.25 * np.sin(4 * np.pi * (hour - 0.6))
    rate *= np.exp(autoregressive(draw, len(at), 0.9, 0.05) + draw.normal(0, draw.uniform(0.03, 0.08), len(at)))
    values, spans = draw.poisson(draw.choice([50, 1000, 20_000]) * rate).astype(float), []
    for place in places(draw, len(at), int(draw.integers(6, 16)), 150):
        end = place + int(draw.integers(1, 8) if draw.random() < 0.5 else draw.integers(10, 60))
        values[place:end] *= draw.choice([draw.uniform(1.4, 3), draw.uniform(0, 0.6)])
        spans.append((place, end))
    return values, _marked(len(at), spans)


def rates(draw: Draw) -> Series:
    """A share of successes close to one, or a latency, both with heavy tails and a faint day."""
    rows = int(draw.integers(8000, 12_000))
    day, spans = np.sin(2 * np.pi * np.arange(rows) / 1440), []
    latency = bool(draw.random() < 0.5)
    values = 100 * np.exp(draw.standard_t(5, rows) * 0.12 + 0.3 * day)
    if not latency:
        values = 1 - np.abs(draw.standard_t(3, rows)) * 0.002 * (1 + 0.5 * day)
    for place in places(draw, rows, int(draw.integers(4, 9)), 200):
        end = place + int(draw.integers(2, 40))
        height = draw.uniform(120, 500) if latency else -draw.uniform(0.01, 0.06)
        values[place:end] += height * draw.uniform(0.7, 1.3, end - place)
        spans.append((place, end))
    return values, _marked(rows, spans)


def rare_events(draw: Draw) -> Series:
    """Counts that are mostly zero, by the day, with a lawful handful now and then; bursts of three to forty rows."""
    rows, spans = int(draw.integers(6000, 10_000)), []
    rate = draw.uniform(0.02, 0.4) * (1 + 0.8 * np.sin(2 * np.pi * np.arange(rows) / 288))
    values = draw.poisson(rate) + (draw.random(rows) < 0.003) * draw.geometric(0.4, rows)
    for place in places(draw, rows, 4, 300):
        end = place + int(draw.integers(3, 40))
        values[place:end] += draw.poisson(draw.uniform(1.5, 5), end - place)
        spans.append((place, end))
    return values.astype(float), _marked(rows, spans)


def one_pulse(draw: Draw) -> Series:
    """A hundred pulses of heart, artery or gait, no two alike; one is missing, turned, noisy, higher, lower or cut."""
    period, kind = int(draw.integers(60, 240)), int(draw.integers(3))
    pulses = [_pulse(draw, int(period * draw.normal(1, 0.03)), kind) for _ in range(100)]
    begins = np.cumsum([0, *(len(pulse) for pulse in pulses)])
    values = np.concatenate(pulses) + 0.1 * autoregressive(draw, int(begins[-1]), 0.99)
    values += draw.normal(0, 0.02, len(values))
    begin, end = begins[(chosen := int(draw.integers(40, 95))) : chosen + 2].tolist()
    whole, spread = values[begin:end].copy(), float(values.std())
    strange = (
        np.linspace(whole[0], whole[-1], end - begin) + draw.normal(0, 0.03 * spread, end - begin),
        whole[::-1],
        whole + draw.normal(0, 0.35 * spread, end - begin),
        whole.mean() + (whole - whole.mean()) * draw.choice([0.55, 1.6]),
        np.minimum(whole, np.quantile(whole, 0.75)),
    )
    values[begin:end] = strange[int(draw.integers(len(strange)))]
    return values, _marked(len(values), [(begin, end)])


def modes(draw: Draw) -> Series:
    """Telemetry that rests at four levels, with ramps between; it sways, sticks, is noisy, or rests at a fifth."""
    rows, rest, spans = 8000, draw.uniform(-1, 1, 4), []
    stays = draw.integers(60, 250, rows // 60)
    values = np.repeat(draw.choice(rest, len(stays)), stays)[:rows]
    values = np.convolve(np.pad(values, (19, 0), mode="edge"), np.full(20, 1 / 20), "valid")
    values += autoregressive(draw, rows, 0.7, 0.03)
    for place in places(draw, rows, 3, 700):
        length = int(draw.integers(30, 150))
        part = slice(place, place + length)
        sway, noise = 0.25 * np.sin(np.arange(length) * 0.5), autoregressive(draw, length, 0.7, 0.03)
        noisy = values[part] + draw.normal(0, 0.12, length)
        values[part] = (values[place] + sway, np.full(length, values[place]), noisy, 1.6 + noise)[int(draw.integers(4))]
        spans.append((place, place + length))
    return values, _marked(rows, spans)


def _pulse(draw: Draw, rows: int, kind: int) -> Floats:
    at, values = np.linspace(0, 1, rows, endpoint=False), np.zeros(rows)
    for centre, width, height in _PULSES[kind]:
        off = (at - centre - draw.normal(0, 0.005)) / width
        values += (height + draw.normal(0, 0.03)) * np.exp(-0.5 * off**2)
    return np.asarray(values * draw.normal(1, 0.05))


def _marked(rows: int, spans: list[tuple[int, int]]) -> Labels:
    odd = np.zeros(rows, np.int64)
    for begin, end in spans:
        odd[begin:end] = 1
    return odd


LOOKALIKES: tuple[Callable[[Draw], Series], ...] = (
    working_hours, half_hours, changes, minutes, rates, rare_events, one_pulse, modes,
)  # fmt: skip
