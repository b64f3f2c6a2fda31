"""Block Kit's documented limits on the blocks of a message."""

from __future__ import annotations

import re
from typing import Any

BLOCKS = 50
SECTION_CHARACTERS = 3000
HEADER_CHARACTERS = 150
CONTEXT_ELEMENTS = 10
FIELDS = 10
FIELD_CHARACTERS = 2000

_CONTROL = re.compile(r"<[^>]*>|&(?:amp|lt|gt);")
_LINK = re.compile(r"<https?://[^\s<>|]+(\|[^<>|]*)?>")


def units(text: str) -> int:
    """Characters as JavaScript counts them."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def mistakes_in_blocks(blocks: object) -> list[str]:
    """Return what Slack would answer ``invalid_blocks`` for."""
    if not isinstance(blocks, list):
        return ["blocks must be an array"]
    mistakes = [f"must have at most {BLOCKS} blocks"] if len(blocks) > BLOCKS else []
    for n, block in enumerate(blocks):
        mistakes += [f"{mistake} [json-pointer:/blocks/{n}]" for mistake in _mistakes_in(block)]
    return mistakes


def mistakes_in_mrkdwn(text: str) -> list[str]:
    """Return what would not be shown as written: stray control characters, and anything in brackets but a link."""
    rest = _CONTROL.sub("", text)
    stray = [f"unescaped {c}" for c in "<>&" if c in rest]
    return stray + [m for m in _CONTROL.findall(text) if m.startswith("<") and not _LINK.fullmatch(m)]


def text_in_blocks(blocks: list[dict[str, Any]]) -> str:
    """All the words of some blocks, a line a text."""
    return "\n".join(text["text"] for block in blocks for text in _texts(block))


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    own = [block["text"]] if "text" in block else []
    return [*own, *block.get("fields", []), *block.get("elements", [])]


def _mistakes_in(block: object) -> list[str]:
    match block:
        case {"type": "header", "text": text}:
            return _mistakes_in_text(text, HEADER_CHARACTERS, ("plain_text",))
        case {"type": "section", **rest} if rest.get("text") or rest.get("fields"):
            return _mistakes_in_section(rest)
        case {"type": "context", "elements": list(elements)} if 1 <= len(elements) <= CONTEXT_ELEMENTS:
            return [mistake for element in elements for mistake in _mistakes_in_text(element, SECTION_CHARACTERS)]
        case {"type": "divider"}:
            return []
    return [f"unsupported block {block}"]


def _mistakes_in_section(section: dict[Any, Any]) -> list[str]:
    fields = section.get("fields", [])
    mistakes = [f"at most {FIELDS} fields"] if len(fields) > FIELDS else []
    for field in fields:
        mistakes += _mistakes_in_text(field, FIELD_CHARACTERS)
    return mistakes + (_mistakes_in_text(section["text"], SECTION_CHARACTERS) if "text" in section else [])


def _mistakes_in_text(text: object, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> list[str]:
    match text:
        case {"type": kind, "text": str(words), **rest} if kind in kinds:
            known = "verbatim" if kind == "mrkdwn" else "emoji"
            unknown = [f"unknown field {name}" for name in rest if name != known]
            if not words:
                return [*unknown, "must be more than 0 characters"]
            return unknown + ([f"must be less than {limit + 1} characters"] if units(words) > limit else [])
    return [f"not a text object: {text}"]
