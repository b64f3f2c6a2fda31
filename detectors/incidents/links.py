"""Links of an alert: addresses that the configuration gives, filled in with what the alert is about."""

from __future__ import annotations

import re
from collections.abc import Mapping

from detectors.clock import minute_of
from detectors.events import Alert
from detectors.minutes.ledger import SPEND_DIMENSIONS

_GIVEN = re.compile(r"\{([^{}]*)\}")
_ADDRESS = re.compile(r"https?://[\w.:\[\]-]+([/?#].*)?", re.ASCII)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What stands for itself in any part of an address (RFC 3986)."""
_NAMES = (*SPEND_DIMENSIONS, "principal", "alert_id", "detector", "driver", "severity", "onset_ms")
"""What a link may ask for; ``onset_ms`` is milliseconds since the epoch, as Grafana takes them."""


def wrong_with(template: str) -> str | None:
    """Say what is wrong with the address of a link, or None.

    Examples
    --------
    >>> wrong_with("https://wiki.example/{detector}")
    >>> wrong_with("ftp://wiki.example")
    'is no address of the web: begin it with https:// and the name of a server'
    """
    if not _ADDRESS.fullmatch(template):
        return "is no address of the web: begin it with https:// and the name of a server"
    if set(_GIVEN.sub("", template)) & set('{} <>|"\\`') or not template.isascii() or not template.isprintable():
        return "has a character that no address has, or a brace without its pair: write it as %20 or the like"
    unknown = [name for name in _GIVEN.findall(template) if name not in _NAMES]
    if unknown:
        return f"asks for {{{unknown[0]}}}, which no alert has; there are {', '.join(_NAMES)}"
    return None


def links_of(templates: Mapping[str, str], alert: Alert) -> dict[str, str]:
    """Return the links of an alert by name; what it does not know is left empty.

    Parameters
    ----------
    templates
        Addresses by name, such as ``https://wiki.example/{detector}``.
    alert
        The alert, whose own links are not looked at.
    """
    if not templates:
        return {}
    onset_ms = str(minute_of(alert.onset) * 60_000)
    own = {"alert_id": alert.alert_id, "detector": alert.detector, "driver": alert.cause.driver}
    values = {**alert.scope, **own, "severity": alert.severity, "onset_ms": onset_ms}

    def filled(given: re.Match[str]) -> str:
        return _quoted(values.get(given[1], ""))

    return {name: _GIVEN.sub(filled, template) for name, template in templates.items()}


def _quoted(value: str) -> str:
    """Return a value as it stands in an address.

    Examples
    --------
    >>> _quoted("a/b é")
    'a%2Fb%20%C3%A9'
    """
    octets = value.encode(errors="surrogatepass")
    return "".join(chr(octet) if octet in _UNRESERVED else f"%{octet:02X}" for octet in octets)
