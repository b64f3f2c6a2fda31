"""Hostile messages: what senders with bugs, bad clocks or bad will put on a usage topic, each beside a valid event.

Seeded: the same seed makes the same messages. A message is bytes with the ids of the valid events in it; everything
else in it must be refused, with a reason, and stop nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

LARGEST_MESSAGE_BYTES = 20_000
"""To be set as ``max_message_bytes`` where these messages go."""

Make = Callable[[random.Random, str], bytes]


class Hostile(NamedTuple):
    """A message, the ids of its valid events, and how many refusals it must cause at least."""

    kind: str
    payload: bytes
    valid: tuple[str, ...]
    refused: int


def event(identity: str, **changed: object) -> dict[str, object]:
    """A valid usage event, with some fields changed."""
    valid: dict[str, object] = {
        "id": identity,
        "time": "2026-10-01T00:05:00Z",
        "source": "gateway",
        "team": "search",
        "service": "answers",
        "principal": "key-1",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "requests": 3,
        "input_tokens": 1200,
        "output_tokens": 300,
        "cost_usd": 0.00096,
    }
    return {**valid, **changed}


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def _truncated(luck: random.Random, identity: str) -> bytes:
    whole = _bytes(event(identity))
    return whole[: luck.randrange(1, len(whole) - 1)]


def _noise(luck: random.Random, _: str) -> bytes:
    return bytes([luck.choice(b"\x00\x07\xff\xfe\x80}")]) + luck.randbytes(luck.randrange(1, 200))


def _huge(luck: random.Random, identity: str) -> bytes:
    return _bytes(event(identity, team="x" * (LARGEST_MESSAGE_BYTES + luck.randrange(5000))))


def _deep(luck: random.Random, identity: str) -> bytes:
    depth = luck.choice((100, 1000, 9000))
    return b'{"id": "%s", "requests": %s1%s}' % (identity.encode(), b"[" * depth, b"]" * depth)


def _wrong_type(luck: random.Random, identity: str) -> bytes:
    field = luck.choice(("requests", "input_tokens", "time", "id", "service", "model", "cost_usd"))
    wrong: tuple[object, ...] = ([], {}, True, [1], {"a": 1}, 1.5 if field != "cost_usd" else "1.5")
    return _bytes(event(identity, **{field: luck.choice(wrong)}))


def _null(luck: random.Random, identity: str) -> bytes:
    return _bytes(event(identity, **{luck.choice(("id", "time", "service", "requests", "model")): None}))


def _no_number(luck: random.Random, identity: str) -> bytes:
    return _bytes(event(identity, cost_usd=luck.choice((float("nan"), float("inf"), float("-inf")))))


def _too_much(luck: random.Random, identity: str) -> bytes:
    field = luck.choice(("requests", "input_tokens", "output_tokens"))
    return _bytes(event(identity, **{field: luck.choice((-1, -(10**30), 2**63, 10**40))}))


def _number_beyond_floats(luck: random.Random, identity: str) -> bytes:
    number = luck.choice(("1e999", "-1", "-1e300", "1e300"))
    return _bytes(event(identity, cost_usd=0)).replace(b'"cost_usd": 0', b'"cost_usd": ' + number.encode())


def _part_above_whole(luck: random.Random, identity: str) -> bytes:
    above: tuple[dict[str, object], ...] = ({"cached_input_tokens": 9999}, {"errors": 4}, {"reasoning_tokens": 301})
    return _bytes(event(identity, **luck.choice(above)))


def _missing(luck: random.Random, identity: str) -> bytes:
    left = event(identity)
    del left[luck.choice(("id", "time", "service", "model"))]
    return _bytes(left)


def _bad_time(luck: random.Random, identity: str) -> bytes:
    stamps = ("yesterday", "", "2026-13-01T00:00:00Z", "2026-10-01", "9999999999", "2026-10-01T00:05:00", "-" * 40)
    return _bytes(event(identity, time=luck.choice(stamps)))


def _far_time(luck: random.Random, identity: str) -> bytes:
    return _bytes(event(identity, time=luck.choice(("1970-01-01T00:00:00Z", "2199-01-01T00:00:00Z"))))


def _bad_text(luck: random.Random, identity: str) -> bytes:
    whole = _bytes(event(identity, service="SPOILED"))
    halves = b"\xed\xa0\x80", b"\\ud800", b"\\udc00x", b"\\ud800\\ud800"
    return whole.replace(b"SPOILED", luck.choice((*halves, b"\xff\xff", b"\\ud8", b"\\x41", b"a\x00b", b"a\nb")))


def _other_json(luck: random.Random, _: str) -> bytes:
    return luck.choice((b"null", b"true", b"7", b'"text"', b'{"specversion": "1.0"}', b"[[]]", b"{}", b"[1,", b"nul"))


def _bad_envelope(luck: random.Random, identity: str) -> bytes:
    data = luck.choice((b"null", b"7", b'"x"', b"{}", b'{"id": "%s"}' % identity.encode()))
    return b'{"specversion": "1.0", "id": "e", "source": "s", "type": "t", "data": %s}' % data


REFUSED: dict[str, Make] = {
    "truncated": _truncated, "noise": _noise, "huge": _huge, "deep": _deep, "wrong type": _wrong_type, "null": _null,
    "no number": _no_number, "too much": _too_much, "beyond floats": _number_beyond_floats,
    "part above whole": _part_above_whole, "missing": _missing, "bad time": _bad_time, "far time": _far_time,
    "bad text": _bad_text, "other json": _other_json, "bad envelope": _bad_envelope,
}  # fmt: skip
"""Kinds of messages that hold no valid event."""

CAN_SHARE_AN_ARRAY = (
    "wrong type",
    "null",
    "no number",
    "too much",
    "part above whole",
    "missing",
    "bad time",
    "far time",
)
"""Kinds that are JSON by themselves, so that a valid event can stand beside them in one message."""


def _odd_but_valid(luck: random.Random, identity: str) -> bytes:
    """What looks hostile and is an event: fields unknown, keys twice, white space, names from anywhere."""
    text = _bytes(event(identity, service=luck.choice(("ünïcödé", "ⓢⓔⓡⓥⓘⓒⓔ", "a b", "\u202eevil", "😀"))))
    return luck.choice(
        (
            text.replace(b"{", b'{"unknown": {"deep": [1, 2, {"x": null}]}, ', 1),
            text.replace(b'"requests": 3', b'"requests": 1, "requests": 3'),
            b" \t\r\n" + text + b"\n\n",
            b"[" + text + b"]",
            b'{"specversion": "1.0", "id": "%s", "source": "s", "type": "t", "data": %s}' % (identity.encode(), text),
        )
    )


def messages(seed: int, count: int) -> Iterator[Hostile]:
    """Make messages: of three, one is refused, one is valid in an odd way, one is an array of both."""
    luck = random.Random(seed)
    kinds = list(REFUSED)
    for number in range(count):
        bad, good = f"bad-{number}", f"good-{number}"
        if number % 3 == 0:
            kind = kinds[number // 3 % len(kinds)]
            yield Hostile(kind, REFUSED[kind](luck, bad), (), 1)
        elif number % 3 == 1:
            yield Hostile("odd but valid", _odd_but_valid(luck, good), (good,), 0)
        else:
            kind = luck.choice(CAN_SHARE_AN_ARRAY)
            both = [REFUSED[kind](luck, bad), _bytes(event(good))]
            luck.shuffle(both)
            yield Hostile(f"{kind} in an array", b"[" + b", ".join(both) + b"]", (good,), 1)
