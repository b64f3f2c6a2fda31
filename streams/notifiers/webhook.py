"""A webhook of your own: the alert as JSON, signed.

The body is ``{"alert": {...}, "message": {...}, "possible_duplicate": false}``: the alert of the wire format, and
the same in words. What was over before anybody could be told comes as one ``{"digest": {...}, ...}`` instead.
With ``secret_env``, ``X-Burstwatch-Signature-256: sha256=HEX`` is the HMAC-SHA-256 of the body.
``Idempotency-Key`` is the same whenever the same word of an alert is sent again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from detectors.events import Alert
from streams.notifiers.digest import Digest, message_of_digest
from streams.notifiers.exchange import post
from streams.notifiers.message import Message, clip, message_of
from streams.notifiers.notifier import (
    Http,
    Memo,
    Notifier,
    NotifierSettings,
    Secret,
    Sent,
    VariableName,
    address_of,
    secret_of,
)


class WebhookSettings(NotifierSettings, frozen=True, tag="webhook"):
    """Any server: its URL, and the key to sign by."""

    url_env: VariableName
    secret_env: VariableName = ""

    def open(self, environ: Mapping[str, str]) -> Notifier:
        """Return the notifier with its secrets."""
        key = secret_of(self.secret_env, "secret_env", environ) if self.secret_env else None
        return Webhook(address_of(self.url_env, "url_env", environ), key)


class WebhookBody(msgspec.Struct, frozen=True):
    """What is posted."""

    alert: Alert
    message: Message
    possible_duplicate: bool


class DigestBody(msgspec.Struct, frozen=True):
    """What is posted for incidents that are over."""

    digest: Digest
    message: Message
    possible_duplicate: bool


class Webhook(Notifier):
    """Posts every word of an alert: firing, updated, resolved.

    Parameters
    ----------
    url
        Where to.
    key
        To sign by; None sends unsigned.
    """

    def __init__(self, url: Secret, key: Secret | None = None) -> None:
        self._url = url
        self._key = key

    async def send(self, http: Http, alert: Alert, memo: Memo | None, possible_duplicate: bool) -> Sent:
        """Post the alert."""
        body = WebhookBody(alert, message_of(alert, possible_duplicate), possible_duplicate)
        answer = await self._post(http, f"{alert.alert_id}/{alert.sequence}", msgspec.json.encode(body))
        return Sent(memo, answer)

    async def send_digest(self, http: Http, digest: Digest, possible_duplicate: bool) -> Sent:
        """Post the digest."""
        body = DigestBody(digest, message_of_digest(digest, possible_duplicate), possible_duplicate)
        return Sent(answer=await self._post(http, digest.alert_id, msgspec.json.encode(body)))

    async def _post(self, http: Http, key: str, body: bytes) -> str:
        headers: dict[str, str | Secret] = {"Idempotency-Key": quote(key)[:1000]}
        if self._key is not None:
            headers["X-Burstwatch-Signature-256"] = f"sha256={signature_of(self._key.reveal(), body)}"
        hidden = [self._key] if self._key else []
        return clip(await post(http, self._url, body, headers, hidden), 200)


def signature_of(key: str, body: bytes) -> str:
    """Return the HMAC-SHA-256 of a body in hexadecimal; compare it by ``hmac.compare_digest``.

    Examples
    --------
    >>> signature_of("key", b"body")[:16]
    '515aae133b435d40'
    """
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
