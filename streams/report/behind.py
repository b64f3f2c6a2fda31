"""The numbers behind an alert's sentence: what was seen, beside what is usual where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from streams.report.markup import tag
from streams.wording import numbers_in_words


def numbers_behind(numbers: Mapping[str, float]) -> list[Element]:
    """Return a table to be opened, nothing where an alert gives no numbers."""
    told = numbers_in_words(numbers)
    if not told:
        return []
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Of the horizon that fired", "Seen", "Usual")))
    rows = [
        tag("tr", tag("td", name), *(tag("td", value, class_="amount") for value in values)) for name, *values in told
    ]
    table = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="wide")
    return [tag("details", tag("summary", "The numbers behind it"), table)]
