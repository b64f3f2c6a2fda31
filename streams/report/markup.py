"""Markup that cannot be broken by what it shows: elements, never strings put together.

The standard library's serialiser escapes every text and attribute; script and style hold only what the package ships.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None
"""What may stand inside an element; None stands for nothing."""


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Element:
    """Return an element.

    Parameters
    ----------
    name
        Its tag.
    children
        Elements and texts, in order.
    attributes
        An underscore at the end is dropped (``class_``), others become hyphens (``aria_label``, ``data_points``);
        None leaves the attribute out.

    Examples
    --------
    >>> html(tag("p", "a < b", class_="note"))
    '<p class="note">a &lt; b</p>'
    """
    kept = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items() if v is not None}
    element = Element(name, {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in kept.items()})
    for child in children:
        add(element, child)
    return element


def add(element: Element, child: Child) -> None:
    """Put a child at the end of an element."""
    if isinstance(child, Element):
        element.append(child)
    elif child and len(element):
        element[-1].tail = (element[-1].tail or "") + child
    elif child:
        element.text = (element.text or "") + child


def html(element: Element) -> str:
    """Return an element as HTML."""
    return tostring(element, encoding="unicode", method="html")


def link(text: str, url: str) -> Element:
    """Return a link where the address is one of the web, else the mere text: no other scheme is ever followed.

    Examples
    --------
    >>> html(link("run", "javascript:run()"))
    '<span>run</span>'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return tag("span", text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return tag("span", text)
    return tag("a", text, href=url, rel="noopener noreferrer")
