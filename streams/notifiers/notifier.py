"""The one shape of every notifier, and the only three ways in which sending may end.

A notifier's settings come from ``routes.yaml``; secrets are named there, as environment variables, and live
in :class:`Secret`, which neither prints nor logs its value.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import urlsplit

import msgspec

from detectors.events import Alert

if TYPE_CHECKING:
    import aiohttp

    from streams.notifiers.digest import Digest

Http: TypeAlias = "aiohttp.ClientSession"
"""A session that :func:`streams.notifiers.exchange.open_http` made."""

Memo = dict[str, str]
"""What a notifier wants to know again when the same alert changes, such as the message to edit."""

VariableName = Annotated[str, msgspec.Meta(pattern="^([A-Za-z_][A-Za-z0-9_]*)?$", max_length=128)]
"""Name of an environment variable; empty where none is used."""


class Sent(msgspec.Struct, frozen=True):
    """The receiver has it. ``told`` is false where this receiver wants no word of such a change."""

    memo: Memo | None = None
    answer: str = ""
    told: bool = True


class Refused(Exception):  # noqa: N818 — an answer, not a fault of ours
    """The receiver says no, and would say so for ever.

    Parameters
    ----------
    answer
        What it said, free of secrets.
    """

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


class TryAgain(Exception):  # noqa: N818
    """It did not work now, and may later.

    Parameters
    ----------
    answer
        What happened, free of secrets.
    after_seconds
        When the receiver wants to hear again; None leaves it to us.
    maybe_arrived
        Whether the message may have been taken although no answer said so.
    """

    def __init__(self, answer: str, after_seconds: float | None = None, maybe_arrived: bool = False) -> None:
        super().__init__(answer)
        self.answer = answer
        self.after_seconds = after_seconds
        self.maybe_arrived = maybe_arrived


class ReceiverError(ValueError):
    """Receivers cannot be used as they are configured; the text names each and the cure, and no secret."""


class Secret:
    """A value that must never be printed, with the name of the environment variable that holds it.

    Examples
    --------
    >>> Secret("SLACK_TOKEN", "xoxb-1")
    Secret(SLACK_TOKEN)
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def __repr__(self) -> str:
        return f"Secret({self.name})"

    def reveal(self) -> str:
        """Return the value, for a request and for nothing else."""
        return self._value

    def hide_in(self, text: str) -> str:
        """Return a text with the value, and the path of a URL, replaced by the name."""
        for part in self._parts():
            for spelling in (part, part.replace("/", "\\/")):  # some JSON writers escape the slash
                text = text.replace(spelling, f"[{self.name}]")
        return text

    def _parts(self) -> list[str]:
        """Return what gives the secret away, the longest first."""
        try:
            url = urlsplit(self._value)
        except ValueError:
            return [self._value]
        if not url.scheme or not url.netloc:
            return [self._value]
        local = [f"{url.path}?{url.query}", url.path, url.query, *url.path.split("/"), *re.split("[=&]", url.query)]
        return [self._value, *(part for part in local if len(part) > 7)]


def secret_of(variable: str, setting: str, environ: Mapping[str, str]) -> Secret:
    """Return a secret from the environment.

    Raises
    ------
    ReceiverError
        If the variable is not set or empty.
    """
    value = environ.get(variable, "").strip()
    if not value:
        raise ReceiverError(f"the environment variable {variable} is not set, which {setting} names")
    return Secret(variable, value)


def address_of(variable: str, setting: str, environ: Mapping[str, str]) -> Secret:
    """Return a secret URL from the environment.

    Raises
    ------
    ReceiverError
        If the variable is not set, or does not hold a URL of the web.
    """
    secret = secret_of(variable, setting, environ)
    require_web_address(secret.reveal(), f"the environment variable {variable}, which {setting} names,")
    return secret


def require_web_address(url: str, place: str) -> None:
    """Refuse what is not a URL of the web, without showing it.

    Raises
    ------
    ReceiverError
        If it is not one.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        raise ReceiverError(f"{place} does not hold a URL that begins with https:// or http://") from None


def seconds_of(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, at most an hour; None if it says nothing usable.

    Examples
    --------
    >>> seconds_of("30"), seconds_of("99999"), seconds_of("soon"), seconds_of(None)
    (30.0, 3600.0, None, None)
    """
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return min(seconds, 3600.0) if math.isfinite(seconds) and seconds >= 0 else None


class Notifier(ABC):
    """Sends alerts to one place. Keeps nothing between calls: what it must remember is the memo."""

    @abstractmethod
    async def send(self, http: Http, alert: Alert, memo: Memo | None, possible_duplicate: bool) -> Sent:
        """Send an alert once.

        Parameters
        ----------
        http
            Session to send by.
        alert
            What to tell.
        memo
            What the last call for the same alert returned; None at the first.
        possible_duplicate
            Whether it may have been sent before; then the message says so.

        Raises
        ------
        Refused
            If the receiver will never take it.
        TryAgain
            If it may take it later.
        """

    @abstractmethod
    async def send_digest(self, http: Http, digest: Digest, possible_duplicate: bool) -> Sent:
        """Send once what is over by now; nobody is to be woken by it. It raises what :meth:`send` does."""


class NotifierSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A receiver in ``routes.yaml``; its ``type`` names the notifier."""

    def open(self, environ: Mapping[str, str]) -> Notifier:
        """Return the notifier with its secrets.

        Raises
        ------
        ReceiverError
            If a secret is missing or of no use.
        """
        raise NotImplementedError
