"""A local server that enforces Slack's documented contracts: incoming webhooks, chat.postMessage, chat.update.

By hand: ``python -m tests.contracts.slack_server --port 8091``; ``GET /received`` shows what has arrived.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
from aiohttp import web

from tests.contracts.local_server import LocalServer, TokenBucket, port_argument, serve_by_hand
from tests.contracts.slack_blocks import mistakes_in_blocks, text_in_blocks, units

POST_TEXT_CHARACTERS = 40_000
UPDATE_TEXT_CHARACTERS = 4_000
ALL_BLOCKS_CHARACTERS = 12_000


class SlackMessage(msgspec.Struct):
    """A message as it stands in a channel now."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None = None
    broadcast: bool = False
    edits: int = 0
    deleted: bool = False

    def shown(self) -> str:
        """All the words of it that a reader sees."""
        return text_in_blocks(self.blocks) if self.blocks else self.text


class SlackServer(LocalServer):
    """A workspace with one channel, one bot and one incoming webhook.

    Parameters
    ----------
    port
        0 takes any that is free.
    burst
        Messages a channel takes at once; after them one a second, as documented.

    ``edit_window_open`` false is a workspace that forbids edits; what contains ``chokes_on`` is a ``fatal_error``.
    """

    channel = "#ai-spend"
    channel_id = "C0123456789"
    archived = "#archived"
    token = "xoxb-0000-contract-token"
    webhook_path = "/services/T00000000/B00000000/contractsecretXXXXXXXX"

    def __init__(self, port: int = 0, burst: int = 4) -> None:
        super().__init__(port)
        self.messages: list[SlackMessage] = []
        self.edit_window_open = True
        self.chokes_on: str | None = None
        self._posting = TokenBucket(per_second=1.0, burst=burst)
        self._updating = TokenBucket(per_second=50 / 60, burst=50)  # tier 3
        self._stamps = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/services/{team}/{hook}/{secret}", self._webhook),
            web.post("/api/chat.postMessage", self._post_message),
            web.post("/api/chat.update", self._update),
        ]

    def received(self) -> list[SlackMessage]:
        return self.messages

    @property
    def webhook_url(self) -> str:
        return self.base_url + self.webhook_path

    @property
    def api_url(self) -> str:
        return f"{self.base_url}/api"

    @property
    def threads(self) -> list[SlackMessage]:
        """Messages that are no replies."""
        return [message for message in self.messages if message.thread_ts is None]

    def replies(self, message: SlackMessage) -> list[SlackMessage]:
        return [reply for reply in self.messages if reply.thread_ts == message.ts]

    async def _webhook(self, request: web.Request) -> web.Response:
        try:
            if request.path != self.webhook_path:
                raise _Refusal("no_service", 404)
            self._take(self._posting)
            content = await _json_of(request)
            if content.get("attachments") is None:
                _check_content(content, POST_TEXT_CHARACTERS)
            self._keep(self.channel_id, content)
        except _Refusal as refusal:
            return refusal.as_text()
        return web.Response(text="ok")

    async def _post_message(self, request: web.Request) -> web.Response:
        try:
            self._authorise(request)
            content = await _json_of(request)
            self._check_channel(content)
            _check_content(content, POST_TEXT_CHARACTERS)
            if self.chokes_on and self.chokes_on in text_in_blocks(content.get("blocks", [])):
                raise _Refusal("fatal_error")
            self._take(self._posting)
        except _Refusal as refusal:
            return refusal.as_json()
        message = self._keep(self.channel_id, content)
        return web.json_response({"ok": True, "channel": message.channel, "ts": message.ts})

    async def _update(self, request: web.Request) -> web.Response:
        try:
            self._authorise(request)
            content = await _json_of(request)
            message = self._editable(content)
            _check_content(content, UPDATE_TEXT_CHARACTERS)
            self._take(self._updating)
        except _Refusal as refusal:
            return refusal.as_json()
        message.text, message.blocks = content.get("text", ""), content.get("blocks", [])
        message.edits += 1
        return web.json_response({"ok": True, "channel": message.channel, "ts": message.ts, "text": message.text})

    def _authorise(self, request: web.Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise _Refusal("not_authed")
        if token != self.token:
            raise _Refusal("invalid_auth")

    def _check_channel(self, content: dict[str, Any]) -> None:
        if content.get("channel") == self.archived:
            raise _Refusal("is_archived")
        if content.get("channel") not in (self.channel, self.channel.lstrip("#"), self.channel_id):
            raise _Refusal("channel_not_found")
        thread = content.get("thread_ts")
        if thread is not None and not any(m.ts == thread for m in self.threads):
            raise _Refusal("cannot_reply_to_message")

    def _editable(self, content: dict[str, Any]) -> SlackMessage:
        if content.get("channel") != self.channel_id:  # an id, not a name
            raise _Refusal("channel_not_found")
        found = [m for m in self.messages if m.ts == content.get("ts") and not m.deleted]
        if not found:
            raise _Refusal("message_not_found")
        if not self.edit_window_open:
            raise _Refusal("edit_window_closed")
        return found[0]

    def _take(self, bucket: TokenBucket) -> None:
        if wait := bucket.take():
            raise _Refusal("ratelimited", 429, retry_after_seconds=max(math.ceil(wait), 1))

    def _keep(self, channel: str, content: dict[str, Any]) -> SlackMessage:
        message = SlackMessage(
            channel,
            f"1760000000.{next(self._stamps):06d}",
            content.get("text", ""),
            content.get("blocks", []),
            content.get("thread_ts"),
            bool(content.get("reply_broadcast")),
        )
        self.messages.append(message)
        return message


def _check_content(content: dict[str, Any], text_characters: int) -> None:
    text, blocks = content.get("text", ""), content.get("blocks", [])
    if not text and not blocks:
        raise _Refusal("no_text")
    if units(text) > text_characters:
        raise _Refusal("msg_too_long")
    if mistakes := mistakes_in_blocks(blocks):
        raise _Refusal("invalid_blocks", details=mistakes)
    if units(text_in_blocks(blocks)) > ALL_BLOCKS_CHARACTERS:
        raise _Refusal("msg_blocks_too_long")


async def _json_of(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise _Refusal("invalid_payload")
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, Any])
    except msgspec.DecodeError:
        raise _Refusal("invalid_payload") from None


class _Refusal(Exception):  # noqa: N818
    """An error as Slack answers it: a webhook in plain text by status, the Web API as JSON with 200."""

    def __init__(
        self, error: str, status: int = 400, retry_after_seconds: int = 0, details: list[str] | None = None
    ) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.headers = {"Retry-After": str(retry_after_seconds)} if retry_after_seconds else {}
        self.details = details or []

    def as_text(self) -> web.Response:
        return web.Response(status=self.status, text=self.error, headers=self.headers)

    def as_json(self) -> web.Response:
        body: dict[str, Any] = {"ok": False, "error": self.error}
        if self.details:
            body["response_metadata"] = {"messages": [f"[ERROR] {detail}" for detail in self.details]}
        return web.json_response(body, status=429 if self.status == 429 else 200, headers=self.headers)


if __name__ == "__main__":
    serve_by_hand(
        SlackServer(port_argument(__doc__)),
        "webhook {server.webhook_url}\napi_url {server.api_url}\ntoken   {server.token}\nchannel {server.channel}",
    )
