"""Slack: by incoming webhook, or as a bot that edits its message and answers in the thread.

A webhook can only post, so it tells of a firing (and of one that grew more severe or came back) and of the end. A bot
posts once an incident, keeps that message true by editing it, and tells of each change in its thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from detectors.events import Alert
from streams.notifiers.digest import Digest, message_of_digest
from streams.notifiers.exchange import post
from streams.notifiers.message import Message, message_of
from streams.notifiers.notifier import (
    Http,
    Memo,
    Notifier,
    NotifierSettings,
    Refused,
    Secret,
    Sent,
    TryAgain,
    VariableName,
    address_of,
    require_web_address,
    secret_of,
)
from streams.notifiers.slack_blocks import OVER, blocks_of, fallback_of, headline_of, sign_of

_LATER = frozenset(
    {"ratelimited", "rate_limited", "fatal_error", "internal_error", "service_unavailable", "request_timeout"}
    | {"team_added_to_org", "message_limit_exceeded"}
)
"""Errors that Slack documents as passing; any other would come back for ever."""

_GONE = "message_not_found"
_NOT_EDITABLE = frozenset({"cant_update_message", "edit_window_closed"})


class SlackSettings(NotifierSettings, frozen=True, tag="slack"):
    """A Slack channel: ``webhook_url_env``, or ``token_env`` (a bot token, scope ``chat:write``) with ``channel``."""

    webhook_url_env: VariableName = ""
    token_env: VariableName = ""
    channel: str = ""
    api_url: str = "https://slack.com/api"

    def __post_init__(self) -> None:
        """Refuse what is neither a webhook nor a bot.

        Raises
        ------
        ValueError
            If it is both, neither, or a bot without a channel.
        """
        if bool(self.webhook_url_env) == bool(self.token_env):
            raise ValueError("give either webhook_url_env or token_env with channel")
        if bool(self.token_env) != bool(self.channel):
            raise ValueError("token_env and channel go together; a webhook has its channel in its URL")

    def open(self, environ: Mapping[str, str]) -> Notifier:
        """Return the notifier with its secrets."""
        if self.webhook_url_env:
            return SlackWebhook(address_of(self.webhook_url_env, "webhook_url_env", environ))
        require_web_address(self.api_url, "api_url")
        return SlackBot(secret_of(self.token_env, "token_env", environ), self.channel, self.api_url)


class SlackWebhook(Notifier):
    """One message when it fires or comes back, one when it is over.

    Parameters
    ----------
    url
        Of the incoming webhook; whoever knows it can post.
    """

    def __init__(self, url: Secret) -> None:
        self._url = url

    async def send(self, http: Http, alert: Alert, memo: Memo | None, possible_duplicate: bool) -> Sent:
        """Post the message; of updates only that it came back, since a webhook cannot edit."""
        if alert.state == "updated" and not alert.came_back:
            return Sent(memo, told=False)
        await self._post(http, _content(alert, message_of(alert, possible_duplicate)))
        return Sent(memo, answer="ok")

    async def send_digest(self, http: Http, digest: Digest, possible_duplicate: bool) -> Sent:
        """Post the digest."""
        await self._post(http, _shown(OVER, message_of_digest(digest, possible_duplicate)))
        return Sent(answer="ok")

    async def _post(self, http: Http, content: dict[str, Any]) -> None:
        answer = await post(http, self._url, content)
        if answer.strip() != "ok":  # a login page in between also answers 200
            raise Refused(f"not Slack's ok: {answer[:100]}")


class SlackBot(Notifier):
    """One message an incident, edited as it changes; each change is told in its thread.

    Parameters
    ----------
    token
        Of the bot.
    channel
        Name or id of the channel to post to.
    api_url
        Of Slack's Web API.
    """

    def __init__(self, token: Secret, channel: str, api_url: str = "https://slack.com/api") -> None:
        self._token = token
        self._channel = channel
        self._api_url = api_url.rstrip("/")

    async def send(self, http: Http, alert: Alert, memo: Memo | None, possible_duplicate: bool) -> Sent:
        """Post the message, or edit it and tell in its thread what has changed.

        Editing twice is harmless, so it comes first: what is tried again never repeats more than the last reply.
        """
        message = message_of(alert, possible_duplicate)
        if memo is None or not await self._edit(http, alert, message, memo):
            return await self._post_new(http, alert, message)
        thread = {
            "channel": memo["channel"],
            "thread_ts": memo["ts"],
            "reply_broadcast": alert.state == "firing" or alert.came_back,  # graver, or back: the channel must see it
            **_news(alert, message, possible_duplicate),
        }
        await self._call(http, "chat.postMessage", thread)
        return Sent(memo, answer="ok")

    async def send_digest(self, http: Http, digest: Digest, possible_duplicate: bool) -> Sent:
        """Post the digest; nothing will ever be edited in it."""
        content = _shown(OVER, message_of_digest(digest, possible_duplicate))
        await self._call(http, "chat.postMessage", {"channel": self._channel, **content})
        return Sent(answer="ok")

    async def _post_new(self, http: Http, alert: Alert, message: Message) -> Sent:
        content = {"channel": self._channel, **_content(alert, message)}
        posted = await self._call(http, "chat.postMessage", content)
        if not posted.channel or not posted.ts:
            return Sent(None, answer="ok, but it named no message to edit")
        return Sent({"channel": posted.channel, "ts": posted.ts}, answer="ok")

    async def _edit(self, http: Http, alert: Alert, message: Message, memo: Memo) -> bool:
        """Edit the message; false if somebody has deleted it."""
        content = {"channel": memo["channel"], "ts": memo["ts"], **_content(alert, message)}
        try:
            await self._call(http, "chat.update", content)
        except _SlackError as error:
            if error.code == _GONE:
                return False
            if error.code not in _NOT_EDITABLE:  # the workspace forbids it: then the thread alone tells
                raise
        return True

    async def _call(self, http: Http, method: str, content: dict[str, Any]) -> _Posted:
        text = await post(
            http,
            f"{self._api_url}/{method}",
            {**content, "unfurl_links": False, "unfurl_media": False},
            {"Authorization": self._token},
        )
        try:
            answer = msgspec.json.decode(text, type=_Posted)
        except msgspec.DecodeError:
            raise Refused(f"{method}: not Slack's JSON: {text[:100]}") from None
        if answer.ok:
            return answer
        if answer.error in _LATER:
            raise TryAgain(f"{method}: {answer.error}", maybe_arrived=answer.error == "fatal_error")
        raise _SlackError(method, answer)


class _Posted(msgspec.Struct):
    """What the Web API answers."""

    ok: bool
    error: str = ""
    channel: str = ""
    ts: str = ""
    response_metadata: dict[str, Any] = {}


class _SlackError(Refused):
    """An error code that the Web API answered, with HTTP 200."""

    def __init__(self, method: str, answer: _Posted) -> None:
        details = answer.response_metadata.get("messages", [])
        super().__init__(f"{method}: {answer.error}" + (f" ({str(details)[:200]})" if details else ""))
        self.code = answer.error


def _content(alert: Alert, message: Message) -> dict[str, Any]:
    return _shown(sign_of(alert), message)


def _shown(sign: str, message: Message) -> dict[str, Any]:
    return {"text": fallback_of(sign, message), "blocks": blocks_of(sign, message)}


def _news(alert: Alert, message: Message, possible_duplicate: bool) -> dict[str, Any]:
    """Return a reply in the thread: what is new, in a line or two."""
    first = headline_of(sign_of(alert), message)
    return {"text": f"{first}\n{message.footer}" if possible_duplicate else first}
