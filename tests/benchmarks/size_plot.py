"""Cost against size as a picture: measured points on logarithmic axes, beside what grows in proportion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL_WIDTH, _PANEL_HEIGHT, _GAP = 900, 360, 70, 50, 340, 240, 110
_STYLE = (
    "text{fill:#24292f;font:13px system-ui,sans-serif}.s{fill:#57606a;font-size:12px}.g{stroke:#d0d7de}"
    ".m{stroke:#0969da;fill:none;stroke-width:2}.p{fill:#0969da}.l{stroke:#8c959f;stroke-dasharray:4 4;fill:none}"
)


class Panel(Struct, frozen=True):
    """One measure by size: what it is called, its points, and how a value is written."""

    title: str
    sizes: Sequence[float]
    values: Sequence[float]
    written: str


def picture(panels: Sequence[Panel]) -> str:
    """Return an SVG; each panel has two points or more, all above zero."""
    told = "; ".join(f"{p.title}: " + ", ".join(p.written.format(v) for v in p.values) for p in panels)
    drawn = "".join(line for number, panel in enumerate(panels) for line in _panel(panel, number))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}">'
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{drawn}</svg>\n'
    )


def _panel(panel: Panel, number: int) -> Iterator[str]:
    left = _LEFT + number * (_PANEL_WIDTH + _GAP)
    x_powers, y_powers = _powers(panel.sizes), _powers(panel.values)

    def at(size: float, value: float) -> tuple[float, float]:
        across = (math.log10(size) - x_powers[0]) / (x_powers[-1] - x_powers[0])
        up = (math.log10(value) - y_powers[0]) / (y_powers[-1] - y_powers[0])
        return left + across * _PANEL_WIDTH, _TOP + (1 - up) * _PANEL_HEIGHT

    yield f'<text x="{left}" y="{_TOP - 20}">{panel.title}</text>'
    yield from _axes(left, x_powers, y_powers)
    last = panel.sizes[-1], panel.values[-1]
    foot = max(10.0 ** x_powers[0], last[0] * 10.0 ** y_powers[0] / last[1])
    yield _path("l", [at(foot, last[1] * foot / last[0]), at(*last)])
    points = [at(size, value) for size, value in zip(panel.sizes, panel.values, strict=True)]
    yield _path("m", points)
    for (x, y), value in zip(points, panel.values, strict=True):
        yield f'<circle class="p" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        aside, anchor = (8, "start") if x < left + _PANEL_WIDTH / 4 else (-8, "end")
        yield f'<text x="{x + aside:.1f}" y="{y - 9:.1f}" text-anchor="{anchor}">{panel.written.format(value)}</text>'


def _axes(left: int, x_powers: range, y_powers: range) -> Iterator[str]:
    foot = _TOP + _PANEL_HEIGHT
    for place, power in enumerate(x_powers):
        x = left + place * _PANEL_WIDTH / (len(x_powers) - 1)
        yield f'<path class="g" d="M{x:.1f} {_TOP}V{foot}"/>'
        yield f'<text class="s" x="{x:.1f}" y="{foot + 18}" text-anchor="middle">{_power(power)}</text>'
    for place, power in enumerate(y_powers):
        y = foot - place * _PANEL_HEIGHT / (len(y_powers) - 1)
        yield f'<path class="g" d="M{left} {y:.1f}h{_PANEL_WIDTH}"/>'
        yield f'<text class="s" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_power(power)}</text>'
    middle = left + _PANEL_WIDTH / 2
    yield f'<text class="s" x="{middle}" y="{foot + 40}" text-anchor="middle">live series; dashed: in proportion</text>'


def _powers(values: Sequence[float]) -> range:
    """Powers of ten from at most the least value to at least the greatest."""
    low, high = math.floor(math.log10(min(values)) + 1e-3), math.ceil(math.log10(max(values)) - 1e-3)
    return range(low, max(high, low + 1) + 1)


def _power(power: int) -> str:
    return f"{10.0**power:,.0f}" if power >= 0 else f"{10.0**power:.{-power}f}"


def _path(kind: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<path class="{kind}" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + '"/>'
