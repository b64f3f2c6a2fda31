"""The numbers behind an alert's sentence: what was seen, beside what is usual where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from streams.report.markup import tag
from streams.wording import usd

_USUAL = "usual_"


def numbers_behind(numbers: Mapping[str, float]) -> list[Element]:
    """Return a table to be opened, nothing where an alert gives no numbers."""
    names = [name for name in numbers if name.removeprefix(_USUAL) == name or name.removeprefix(_USUAL) not in numbers]
    if not names:
        return []
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Of the horizon that fired", "Seen", "Usual")))
    rows = [
        tag(
            "tr", tag("td", _words(name)),
            *(tag("td", _value(at, numbers[at]) if at in numbers else "–", class_="amount") for at in _pair(name)),
        )
        for name in names
    ]  # fmt: skip
    table = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="wide")
    return [tag("details", tag("summary", "The numbers behind it"), table)]


def _pair(name: str) -> tuple[str, str]:
    bare = name.removeprefix(_USUAL)
    return bare, _USUAL + bare


def _words(name: str) -> str:
    words = name.removeprefix(_USUAL).replace("_", " ")
    return words.replace("usd", "dollars", 1)[:1].upper() + words.replace("usd", "dollars", 1)[1:]


def _value(name: str, value: float) -> str:
    if "usd" in name:
        return usd(value)
    return f"{100 * value:.3g} %" if name.endswith("share") else f"{value:,.4g}"
