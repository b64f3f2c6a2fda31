"""Numbers and moments as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, moment_of
from detectors.events import Cause

DRIVERS = {
    "requests": "more requests",
    "input_per_request": "more input a request",
    "output_per_request": "more output a request",
    "cache_share": "fewer cache hits",
    "model_mix": "dearer models",
    "unit_price": "a higher unit price",
    "idle_gpu": "idle GPUs",
    "unknown": "no known driver",
}
"""What a driver that rose means."""

FACTORS = {
    "requests": "Requests",
    "input_per_request": "Input per request",
    "output_per_request": "Output per request",
    "cache_share": "Cached share",
    "model_mix": "Model mix",
    "unit_price": "Unit price",
    "idle_gpu": "Idle GPU",
    "unknown": "Unknown",
}
"""A driver as the name of a factor, whichever way it went."""


def usd(amount: float) -> str:
    """Dollars, with as many digits as say something.

    Examples
    --------
    >>> usd(1234.5), usd(-12.3), usd(0.0042), usd(0)
    ('$1,234', '−$12.30', '$0.0042', '$0')
    """
    size = abs(amount)
    if size >= 99.995:
        digits = f"{size:,.0f}"
    elif size >= 0.095:
        digits = f"{size:.2f}"
    else:
        digits = f"{size:.2g}" if size >= 1e-6 else "0"
    return f"{'−' if amount < 0 and digits != '0' else ''}${digits}"


def signed_usd(amount: float) -> str:
    """Dollars with their sign."""
    return usd(amount) if amount < 0 else f"+{usd(amount)}"


def moment(when: datetime | int) -> str:
    """Day and minute of a moment, in UTC; a number is minutes since the epoch.

    Examples
    --------
    >>> moment(29_000_000)
    'Wed 19 Feb 2025 21:20'
    """
    return f"{day(when, year=True)} {clock(when)}"


def day(when: datetime | int, *, year: bool = False) -> str:
    """Day of a moment."""
    at = moment_of(when) if isinstance(when, int) else when
    return f"{at:%a} {at.day} {at:%b}" + (f" {at.year}" if year else "")


def clock(when: datetime | int) -> str:
    """Time of day of a moment."""
    return f"{moment_of(when) if isinstance(when, int) else when:%H:%M}"


def stretch(minutes: float) -> str:
    """How long something took.

    Examples
    --------
    >>> stretch(1), stretch(90), stretch(120), stretch(3000)
    ('1 min', '1 h 30 min', '2 h', '2 d 2 h')
    """
    whole = round(minutes)
    days, hours, rest = whole // MINUTES_PER_DAY, whole % MINUTES_PER_DAY // MINUTES_PER_HOUR, whole % MINUTES_PER_HOUR
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{rest} min"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "incident"), counted(2000, "incident")
    ('1 incident', '2,000 incidents')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def place(scope: Mapping[str, str]) -> str:
    """Where something burns, in one short name: the narrowest thing that the scope names.

    Examples
    --------
    >>> place({"team": "risk", "service": "bot", "principal": "bot/api"}), place({"team": "a", "model": "m"}), place({})
    ('bot', 'model m', 'the whole organisation')
    """
    if "service" in scope:
        return scope["service"]
    for name in ("principal", "model", "provider", "environment", "team"):
        if name in scope:
            return f"{name} {scope[name]}"
    return "the whole organisation"


def kind_of(cause: Cause) -> str:
    """Return what the deployment behind an incident was: a rollback, a model switch."""
    return cause.deployment.kind.replace("_", " ") if cause.deployment is not None else "deployment"


def sentence(text: str) -> str:
    """Return a text as a sentence: a capital at its beginning and a stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""
