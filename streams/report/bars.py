"""Bars: what a change in dollars is made of, where a month is heading, who spent."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from detectors.events import MonthEnd
from streams.report.markup import tag
from streams.report.plot import percent
from streams.wording import DRIVERS, capital, signed_usd, usd

LEAST_SHARE = 0.02
"""Parts below this share of the largest are summed up."""


def waterfall(parts_usd: Mapping[str, float]) -> Element | None:
    """Return the parts of a change as a waterfall, the largest first: each begins where the one before ended.

    Parts that are too small to be seen are summed up as one, so that the whole still adds up.
    """
    largest = max((abs(amount) for amount in parts_usd.values()), default=0.0)
    if not largest:
        return None
    shown = {name: amount for name, amount in parts_usd.items() if abs(amount) >= LEAST_SHARE * largest}
    rest = sum(amount for name, amount in parts_usd.items() if name not in shown)
    ordered = sorted(shown.items(), key=lambda item: -abs(item[1]))
    steps = [(capital(DRIVERS[name]) if name in DRIVERS else name, amount) for name, amount in ordered]
    steps += [("All others", rest)] if len(shown) < len(parts_usd) and abs(rest) >= 5e-5 else []
    reached, spans, at = [0.0], [], 0.0
    for name, amount in steps:
        spans.append((name, amount, at, at + amount))
        at += amount
        reached.append(at)
    low, high = min(reached), max(reached)
    rows = [_step(*span, low, high, "") for span in spans]
    if len(spans) > 1:
        rows.append(_step("Together", at, 0.0, at, low, high, " total"))
    return tag("div", *rows, class_="waterfall")


def _step(name: str, amount: float, start: float, end: float, low: float, high: float, kind: str) -> Element:
    whole = (high - low) or 1.0
    left, width = (min(start, end) - low) / whole, abs(end - start) / whole
    way = "down" if amount < 0 else "up"
    bar = tag("i", class_=f"bar {way}", style=f"left:{percent(left)};width:max(2px,{percent(width)})")
    zero = tag("i", class_="zero", style=f"left:{percent(-low / whole)}")
    return tag(
        "div", tag("span", name, class_="name"), tag("span", zero, bar, class_="track", aria_hidden="true"),
        tag("span", signed_usd(amount), class_="amount"), class_=f"step{kind}",
    )  # fmt: skip


def month_range(month: MonthEnd) -> Element:
    """Return where a month is heading: the interval, the forecast in it, and the budget if there is one."""
    budget = month.budget_usd
    whole = max(month.high_usd, month.forecast_usd, budget or 0.0) * 1.04 or 1.0
    low, high = month.low_usd / whole, month.high_usd / whole
    pieces = [
        tag("i", class_="interval", style=f"left:{percent(low)};width:max(2px,{percent(max(high - low, 0))})"),
        tag("i", class_="forecast", style=f"left:{percent(month.forecast_usd / whole)}"),
    ]
    words = f"{usd(month.forecast_usd)} by month end ({usd(month.low_usd)} to {usd(month.high_usd)})"
    if budget is not None:
        pieces.append(tag("i", class_="budget", style=f"left:{percent(budget / whole)}"))
        words += f", budget {usd(budget)}"
    if month.p_over_budget is not None:
        words += f", {_chance(month.p_over_budget)} to pass it"
    return tag("div", tag("span", words), tag("div", *pieces, class_="range", aria_hidden="true"))


def _chance(probability: float) -> str:
    if 0.01 <= probability <= 0.99:
        return f"{probability:.0%} likely"
    return "all but certain" if probability > 0.5 else "most unlikely"


def share_bar(share: float, excess_share: float) -> Element:
    """Return a bar for a share of the whole, with the part of it that was above expected."""
    return tag(
        "span",
        tag("i", class_="bar", style=f"width:{percent(share)}"),
        tag("i", class_="bar burnt", style=f"width:{percent(min(excess_share, share))}"),
        class_="track", aria_hidden="true",
    )  # fmt: skip
