"""A message as Slack's blocks: escaped for mrkdwn and within every limit of Block Kit.

Limits: 50 blocks, 150 characters a header, 3,000 a section, 10 elements a context; some 12,000 over all blocks
(``msg_blocks_too_long``); 4,000 for the text of ``chat.update``, less than the 40,000 of ``chat.postMessage``.
"""

from __future__ import annotations

from typing import Any

from detectors.events import Alert
from streams.notifiers.message import Link, Message, clip, units

SECTION_CHARACTERS = 3000

_FACT_CHARACTERS = 340
_SIGNS = {"page": "🔴", "ticket": "🟠", "info": "🔵"}
OVER = "✅"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str, limit: int = SECTION_CHARACTERS) -> str:
    """Return a text that Slack shows as it is, of at most ``limit`` characters once escaped.

    Examples
    --------
    >>> escape("<!channel> R&D")
    '&lt;!channel&gt; R&amp;D'
    >>> escape("a & b", 6)
    'a …'
    """
    escaped = "".join(_ENTITIES.get(c, c) for c in text)
    if units(escaped) <= limit:
        return escaped
    kept: list[str] = []
    room = limit - 1
    for character in text:
        piece = _ENTITIES.get(character, character)
        room -= units(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def sign_of(alert: Alert) -> str:
    """Return the sign that shows an alert's severity, or that it is over."""
    return OVER if alert.state == "resolved" else _SIGNS[alert.severity]


def headline_of(sign: str, message: Message) -> str:
    """Return the headline as mrkdwn, behind a sign."""
    return f"{sign} *{escape(message.headline, 600)}*"


def fallback_of(sign: str, message: Message) -> str:
    """Return what a phone's lock screen shows, and readers that show no blocks."""
    return f"{sign} {escape(message.headline, 800)}\n{escape(message.action, 1500)}".rstrip()


def blocks_of(sign: str, message: Message) -> list[dict[str, Any]]:
    """Return a message as blocks: headline, facts, what to do, links, footer."""
    facts = "\n".join(f"*{fact.name}*  {escape(fact.text, _FACT_CHARACTERS)}" for fact in message.facts)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": clip(f"{sign} {message.headline}", 150)}},
        _section(facts),
    ]
    if message.action:
        blocks.append(_section(f"*Do now*  {escape(message.action, 1500)}"))
    if links := _links(message.links):
        blocks.append(_section(links))
    footer = {"type": "mrkdwn", "text": escape(message.footer, 600), "verbatim": True}
    return [*blocks, {"type": "context", "elements": [footer]}]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _links(links: tuple[Link, ...]) -> str:
    """Return as many links as fit: half a link is worse than none."""
    shown: list[str] = []
    room = SECTION_CHARACTERS
    for link in links:
        text = f"<{escape(link.url, 2 * SECTION_CHARACTERS)}|{escape(link.name, 120).replace('|', '/')}>"
        room -= units(text) + 3
        if room < 0:
            break
        shown.append(text)
    return " · ".join(shown)
