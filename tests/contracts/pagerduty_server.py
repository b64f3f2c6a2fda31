"""A local server that enforces PagerDuty's Events API v2, and keeps the incidents that its events make.

By hand: ``python -m tests.contracts.pagerduty_server --port 8092``; ``GET /received`` shows the incidents.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from tests.contracts.local_server import LocalServer, TokenBucket, port_argument, serve_by_hand

EVENT_BYTES = 512_000
SUMMARY_CHARACTERS = 1024
DEDUP_KEY_CHARACTERS = 255
ROUTING_KEY_CHARACTERS = 32
SEVERITIES = ("critical", "error", "warning", "info")


class PagerDutyIncident(msgspec.Struct):
    """An incident as the on-call sees it: the first trigger's payload, and what came after."""

    dedup_key: str
    payload: dict[str, Any]
    links: list[dict[str, Any]]
    status: str = "triggered"
    triggers: int = 1


class PagerDutyServer(LocalServer):
    """A service with one integration key.

    Parameters
    ----------
    port
        0 takes any that is free.
    per_second, burst
        Its throttle.
    """

    routing_key = "0123456789abcdef0123456789abcdef"

    def __init__(self, port: int = 0, per_second: float = 2.0, burst: int = 120) -> None:
        super().__init__(port)
        self.incidents: list[PagerDutyIncident] = []
        self._throttle = TokenBucket(per_second, burst)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v2/enqueue", self._enqueue)]

    def received(self) -> list[PagerDutyIncident]:
        return self.incidents

    @property
    def url(self) -> str:
        return f"{self.base_url}/v2/enqueue"

    async def _enqueue(self, request: web.Request) -> web.Response:
        body = await request.read()
        if len(body) > EVENT_BYTES:
            return _answer(413, "invalid event", "Event object is too large")
        try:
            event = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return _answer(400, "Unrecognized object", "Event object format is unrecognized", ["JSON parse error"])
        if errors := self.errors_in(event):
            return _answer(400, "invalid event", "Event object is invalid", errors)
        if self._throttle.take():
            return _answer(429, "throttle exceeded", "Requests for this service are arriving too quickly.")
        key = self._apply(event)
        return web.json_response(
            {"status": "success", "message": "Event processed", "dedup_key": key}, status=202
        )  # fmt: skip

    def _apply(self, event: dict[str, Any]) -> str:
        key = event.get("dedup_key") or f"assigned-{len(self.incidents)}"
        open_one = next((i for i in self.incidents if i.dedup_key == key and i.status != "resolved"), None)
        action = event["event_action"]
        if action == "trigger" and open_one is None:
            self.incidents.append(PagerDutyIncident(key, event["payload"], event.get("links", [])))
        elif action == "trigger" and open_one is not None:
            open_one.triggers += 1
        elif open_one is not None:
            open_one.status = "resolved" if action == "resolve" else "acknowledged"
        return str(key)

    def errors_in(self, event: object) -> list[str]:
        if not isinstance(event, dict):
            return ["Event object must be a JSON object"]
        errors = []
        key = event.get("routing_key")
        if not isinstance(key, str) or len(key) != ROUTING_KEY_CHARACTERS:
            errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
        elif key != self.routing_key:
            errors.append("Invalid routing key")
        action = event.get("event_action")
        if action not in ("trigger", "acknowledge", "resolve"):
            errors.append("'event_action' must be one of trigger, acknowledge, resolve")
        dedup_key = event.get("dedup_key")
        if dedup_key is None and action != "trigger":
            errors.append("'dedup_key' is missing or blank")
        if dedup_key is not None and not (isinstance(dedup_key, str) and 0 < len(dedup_key) <= DEDUP_KEY_CHARACTERS):
            errors.append("'dedup_key' must be 1 to 255 characters")
        if action == "trigger":
            errors += _errors_in_payload(event.get("payload"))
        return errors + _errors_in_links(event.get("links", []))


def _errors_in_payload(payload: object) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not isinstance(payload.get(name), str) or not payload[name].strip()
    ]
    if len(str(payload.get("summary", ""))) > SUMMARY_CHARACTERS:
        errors.append("'payload.summary' is too long (maximum is 1024 characters)")
    if payload.get("severity") not in SEVERITIES:
        errors.append("'payload.severity' is invalid (must be one of the following: 'critical', ...)")
    if "timestamp" in payload and not _is_time(payload["timestamp"]):
        errors.append("'payload.timestamp' is not an ISO 8601 time")
    errors += [
        f"'payload.{name}' must be a string"
        for name in ("component", "group", "class")
        if name in payload and not isinstance(payload[name], str)
    ]
    if not isinstance(payload.get("custom_details", {}), dict):
        errors.append("'payload.custom_details' must be an object")
    return errors


def _errors_in_links(links: object) -> list[str]:
    if not isinstance(links, list):
        return ["'links' must be an array"]
    fits = [
        isinstance(link, dict) and urlsplit(str(link.get("href", ""))).scheme in ("http", "https") for link in links
    ]
    return [f"'links[{n}].href' must be a URL" for n, fit in enumerate(fits) if not fit]


def _is_time(stamp: object) -> bool:
    try:
        return isinstance(stamp, str) and datetime.fromisoformat(stamp) is not None
    except ValueError:
        return False


def _answer(status: int, short: str, message: str, errors: list[str] | None = None) -> web.Response:
    return web.json_response({"status": short, "message": message, "errors": errors or []}, status=status)


if __name__ == "__main__":
    serve_by_hand(PagerDutyServer(port_argument(__doc__)), "url {server.url}\nrouting key {server.routing_key}")
