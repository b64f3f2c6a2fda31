"""PagerDuty: Events API v2. An incident there opens when an alert fires and resolves with it.

The dedup key is the alert's id, so whatever is sent twice is one incident. Updates are not sent: PagerDuty keeps
the first summary anyway, and a trigger for an incident that somebody has resolved by hand would page anew. Only what
comes back after it was over triggers again, under the same key and with the severity of a ticket: it is open there for
as long as it burns. A digest is one incident of severity ``info``, for somebody to read and resolve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from detectors.events import Alert, Severity
from streams.notifiers.digest import Digest, message_of_digest
from streams.notifiers.exchange import post
from streams.notifiers.message import Message, clip, message_of, where
from streams.notifiers.notifier import (
    Http,
    Memo,
    Notifier,
    NotifierSettings,
    Refused,
    Secret,
    Sent,
    VariableName,
    require_web_address,
    secret_of,
)

SUMMARY_CHARACTERS = 1024
DEDUP_KEY_CHARACTERS = 255

PagerDutySeverity = Literal["critical", "error", "warning", "info"]
_SEVERITIES: dict[Severity, PagerDutySeverity] = {"page": "critical", "ticket": "warning", "info": "info"}


class PagerDutySettings(NotifierSettings, frozen=True, tag="pagerduty"):
    """A PagerDuty service: its integration key (Events API v2) and how our severities read there."""

    routing_key_env: VariableName
    url: str = "https://events.pagerduty.com/v2/enqueue"
    severities: dict[Severity, PagerDutySeverity] = msgspec.field(default_factory=dict)

    def open(self, environ: Mapping[str, str]) -> PagerDuty:
        """Return the notifier with its secrets."""
        require_web_address(self.url, "url")
        key = secret_of(self.routing_key_env, "routing_key_env", environ)
        return PagerDuty(key, self.url, {**_SEVERITIES, **self.severities})


class PagerDuty(Notifier):
    """Triggers an incident when an alert fires or comes back, resolves it when it is over.

    Parameters
    ----------
    routing_key
        Of the integration.
    url
        To send events to.
    severities
        PagerDuty's word for each severity.
    """

    def __init__(self, routing_key: Secret, url: str, severities: Mapping[Severity, PagerDutySeverity]) -> None:
        self._routing_key = routing_key
        self._url = url
        self._severities = severities

    async def send(self, http: Http, alert: Alert, memo: Memo | None, possible_duplicate: bool) -> Sent:
        """Trigger or resolve; of updates only that it came back."""
        if alert.state == "updated" and not alert.came_back:
            return Sent(memo, told=False)
        return Sent(memo, await self._post(http, self.event(alert, possible_duplicate)))

    async def send_digest(self, http: Http, digest: Digest, possible_duplicate: bool) -> Sent:
        """Trigger one incident that wakes nobody whose service takes its urgency from the severity."""
        message = message_of_digest(digest, possible_duplicate)
        payload = {
            "summary": clip(message.headline, SUMMARY_CHARACTERS),
            "source": "burstwatch",
            "severity": self._severities["info"],
            "timestamp": digest.until,
            "custom_details": _details(message),
        }
        event = {"event_action": "trigger", "client": "Burstwatch", "payload": payload}
        return Sent(answer=await self._post(http, {**self._envelope(digest.alert_id), **event}))

    async def _post(self, http: Http, event: dict[str, Any]) -> str:
        answer = await post(http, self._url, event)
        try:
            status = msgspec.json.decode(answer, type=_Accepted).status
        except msgspec.DecodeError:
            status = ""
        if status != "success":  # a proxy's page also has status 200
            raise Refused(f"not PagerDuty's success: {clip(answer, 200)}")
        return clip(answer, 200)

    def _envelope(self, alert_id: str) -> dict[str, Any]:
        return {"routing_key": self._routing_key, "dedup_key": dedup_key_of(alert_id)}

    def event(self, alert: Alert, possible_duplicate: bool) -> dict[str, Any]:
        """Return the event that tells of an alert; the routing key in it is still a secret."""
        envelope = self._envelope(alert.alert_id)
        if alert.state == "resolved":
            return {**envelope, "event_action": "resolve"}
        message = message_of(alert, possible_duplicate)
        links = [{"href": link.url, "text": link.name} for link in message.links]
        trigger = {"event_action": "trigger", "client": "Burstwatch", "links": links}
        payload = {
            "summary": clip(f"{message.headline}: {message.action}", SUMMARY_CHARACTERS),
            "source": where(alert.scope)[0],
            "severity": self._severities["ticket" if alert.came_back else alert.severity],
            "timestamp": alert.time,
            "component": clip(alert.scope.get("model", ""), 255),
            "group": clip(alert.scope.get("team", ""), 255),
            "class": alert.cause.driver,
            "custom_details": _details(message),
        }
        return {**envelope, **trigger, "payload": {k: v for k, v in payload.items() if v}}


def _details(message: Message) -> dict[str, str]:
    told = {**{fact.name: fact.text for fact in message.facts}, "Do now": message.action, "Alert": message.footer}
    return {name: text for name, text in told.items() if text}


class _Accepted(msgspec.Struct):
    """What PagerDuty answers."""

    status: str


def dedup_key_of(alert_id: str) -> str:
    """Return the id of an alert, or its hash where PagerDuty would find the id too long.

    Every alert of one incident has the same one.
    """
    if len(alert_id) <= DEDUP_KEY_CHARACTERS and alert_id.isprintable() and alert_id:
        return alert_id
    return hashlib.sha256(alert_id.encode("utf-8", "surrogatepass")).hexdigest()
