"""Events by HTTP: ``POST /v1/usage``, ``/v1/deployments`` and ``/v1/feedback``, as far as a runtime uses them.

A body is one event, a JSON array, NDJSON, or CloudEvents (structured or batch). The answers:

===  ==========================================================================================
202  every event is on disk and will be counted: a crash from here on loses none
400  some events are bad: each is listed with its index and reason, and kept in the rejected table;
     the others are on disk, as many as ``accepted`` says
401  no token, or a wrong one
413  the body is too large: nothing was taken
503  the inbox is full, or the disk does not take it: nothing was taken; try again after ``Retry-After``
===  ==========================================================================================

A (source, id) counts once, so after any answer or none a sender may send the whole body again.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
from aiohttp import web

from detectors.intake.raw import Kind

_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_NDJSON_TYPES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)


class BadEvent(msgspec.Struct, frozen=True):
    """An event of a request that was refused: its index in the body, a short code and a sentence."""

    index: int
    reason: str
    detail: str


class Receipt(msgspec.Struct, frozen=True):
    """What became of a request: how many events were taken, and which were not."""

    accepted: int
    rejected: list[BadEvent]


class InboxUnavailableError(Exception):
    """The inbox takes nothing now: it is full, or its disk is.

    Parameters
    ----------
    reason
        A sentence for the sender.
    retry_after_seconds
        When to try again.
    """

    def __init__(self, reason: str, retry_after_seconds: int) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class Inbox(Protocol):
    """What takes events durably."""

    async def put(self, kind: Kind, items: Sequence[bytes]) -> Receipt:
        """Keep the events of a request and say what is wrong with some; return once they are on disk.

        Raises
        ------
        InboxUnavailableError
            If nothing could be kept.
        """


class HttpSource:
    """The routes by which events come.

    Parameters
    ----------
    inbox
        Where they go.
    token
        What a sender must show as ``Authorization: Bearer``; None asks for nothing.
    max_request_bytes
        Of a body, after decompression.
    kinds
        Of events that are used; no route takes what nobody would read.
    """

    def __init__(
        self,
        inbox: Inbox,
        token: str | None,
        max_request_bytes: int,
        kinds: Sequence[Kind] = ("usage", "deployments"),
    ) -> None:
        self._inbox = inbox
        self._token = None if token is None else token.encode()
        self._max_request_bytes = max_request_bytes
        self._kinds = kinds

    def routes(self) -> list[web.RouteDef]:
        """Return what a web application serves."""
        return [web.post(f"/v1/{kind}", self._handler(kind)) for kind in self._kinds]

    def _handler(self, kind: Kind) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def take(request: web.Request) -> web.StreamResponse:
            refusal = self._refuse_stranger(request)
            if refusal is not None:
                return refusal
            try:
                body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                limit = self._max_request_bytes
                return _answer(413, {"error": f"the body is over {limit} bytes: send fewer events in a request"})
            items = split(body, request.content_type)
            if not items and not body.strip():
                return _answer(400, Receipt(0, [BadEvent(0, "empty", "the body is empty: send at least one event")]))
            return await self._put(kind, items)

        return take

    async def _put(self, kind: Kind, items: list[bytes]) -> web.Response:
        try:
            receipt = await self._inbox.put(kind, items)
        except InboxUnavailableError as error:
            headers = {"Retry-After": str(error.retry_after_seconds)}
            return _answer(503, {"error": str(error)}, headers)
        return _answer(400 if receipt.rejected else 202, receipt)

    def _refuse_stranger(self, request: web.Request) -> web.Response | None:
        if self._token is None:
            return None
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        given = shown.strip().encode(errors="surrogateescape")
        if scheme.lower() == "bearer" and hmac.compare_digest(given, self._token):
            return None
        challenge = 'Bearer realm="burstwatch"'
        if shown:
            challenge += ', error="invalid_token"'
        wrong = "the token is wrong" if shown else "no token: send Authorization: Bearer TOKEN"
        return _answer(401, {"error": wrong}, {"WWW-Authenticate": challenge})


def split(body: bytes, content_type: str) -> list[bytes]:
    r"""Return the events of a body, each as it came; what cannot be told apart stays one piece.

    Lines are told by the content type, or by a first line that is JSON by itself while the whole is not.

    Examples
    --------
    >>> split(b'[{"id": 1}, {"id": 2}]', "application/json")
    [b'{"id": 1}', b'{"id": 2}']
    >>> split(b'{"id": 1}\n\n{"id": 2}\n', "application/json")
    [b'{"id": 1}', b'{"id": 2}']
    >>> split(b'[{"id": 1}, {"id"', "application/json")
    [b'[{"id": 1}, {"id"']
    """
    text = body.strip()
    if not text:
        return []
    if content_type in _NDJSON_TYPES:
        return _lines(text)
    if text[:1] == b"[":
        try:
            return [bytes(item) for item in _RAW_ARRAY.decode(text)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [text]
    if not _is_json(text):
        lines = _lines(text)
        if len(lines) > 1 and _is_json(lines[0]):
            return lines
    return [text]


def _lines(text: bytes) -> list[bytes]:
    return [line for line in (raw.strip() for raw in text.splitlines()) if line]


def _is_json(text: bytes) -> bool:
    try:
        _RAW.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _answer(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers)
