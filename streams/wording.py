"""Dollars, moments, stretches, places, drivers and numbers as people read them, wherever they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, moment_of
from detectors.events import Cause, DeploymentEvent

DRIVERS = {
    "requests": "requests",
    "input_per_request": "input tokens a request",
    "output_per_request": "output tokens a request",
    "cache_share": "cached share of input",
    "model_mix": "mix of models",
    "unit_price": "price paid",
    "idle_gpu": "idle GPUs",
    "unknown": "not known yet",
}
"""A driver by its name, whichever way it went."""

RISEN = {
    "requests": "more requests",
    "input_per_request": "more input a request",
    "output_per_request": "more output a request",
    "cache_share": "fewer cache hits",
    "model_mix": "dearer models",
    "unit_price": "a higher price",
    "idle_gpu": "idle GPUs",
    "unknown": "no known driver",
}
"""What a driver that rose means."""

FOREMOST: tuple[str, ...] = ("service", "model", "principal", "team", "initiative")
"""What a place is named by, the first of them that is known; all else follows in the order of names."""

_USUAL = "usual_"
"""Begins the name of a number that says what is usual."""

_UNITS = ((1e6, 1.0, ""), (1e9, 1e6, "M"), (1e12, 1e9, "B"))
_REVISION_CHARACTERS = 12
"""Of a commit, no more are ever needed."""


def usd(amount: float) -> str:
    """Dollars, with as many digits as say something.

    Examples
    --------
    >>> usd(1234.5), usd(-12.3), usd(0.0042), usd(0), usd(3_210_000), usd(float("nan"))
    ('$1,234', '−$12.30', '$0.0042', '$0', '$3.2M', '$?')
    """
    if not math.isfinite(amount):
        return "$?"
    digits = _digits(abs(amount))
    return f"{'−' if amount < 0 and digits != '0' else ''}${digits}"


def _digits(size: float) -> str:
    """Return a size in dollars as its digits."""
    if size < 0.095:
        return f"{size:.2g}" if size >= 1e-6 else "0"
    if size < 99.995:
        return f"{size:.2f}"
    for limit, divisor, unit in _UNITS:
        if size < limit:
            return f"{size / divisor:,.1f}{unit}" if unit else f"{size:,.0f}"
    return f"{size:.1e}"


def signed_usd(amount: float) -> str:
    """Dollars with their sign."""
    return usd(amount) if amount < 0 else f"+{usd(amount)}"


def moment(when: datetime | int) -> str:
    """Day and minute of a moment, in UTC; a number is minutes since the epoch.

    Examples
    --------
    >>> moment(29_000_000), moment(datetime(2026, 10, 9, 9, 14, tzinfo=UTC))
    ('2025-02-19 21:20', '2026-10-09 09:14')
    """
    if isinstance(when, int):
        return moment(moment_of(when))
    try:
        return when.astimezone(UTC).isoformat(" ", "minutes")[:16]
    except OverflowError:  # the first or last day that there is
        return when.isoformat(" ", "minutes")


def at_utc(when: datetime) -> str:
    """Return a moment to the minute, with its zone."""
    return f"{moment(when)} UTC"


def day(when: datetime | int) -> str:
    """Day of a moment."""
    at = moment_of(when) if isinstance(when, int) else when
    return f"{at:%a} {at.day} {at:%b}"


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
    whole = max(round(minutes), 0)
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
    """Where something burns, in one short name: the foremost thing that the scope names.

    Examples
    --------
    >>> place({"team": "risk", "service": "bot", "principal": "bot/api"}), place({"team": "a", "model": "m"}), place({})
    ('bot', 'model m', 'the whole organisation')
    """
    if not scope:
        return "the whole organisation"
    foremost = in_order(scope)[0]
    return scope[foremost] if foremost == "service" else f"{foremost} {scope[foremost]}"


def in_order(scope: Mapping[str, str]) -> list[str]:
    """Return the names of a scope, the foremost first."""
    foremost = [name for name in FOREMOST if name in scope]
    return foremost + sorted(set(scope) - set(foremost))


def version_of(deployment: DeploymentEvent) -> str:
    """Return what was deployed: its version, and its revision where the version does not tell it.

    Examples
    --------
    >>> from msgspec.structs import replace
    >>> made = DeploymentEvent("d", moment_of(0), "bot", version="v2", revision="9fceb02d0ae598e95dc970b74767f1")
    >>> version_of(made), version_of(replace(made, revision="v2")), version_of(replace(made, version=""))
    ('v2 at 9fceb02d0ae5', 'v2', '9fceb02d0ae5')
    """
    version, revision = deployment.version, deployment.revision[:_REVISION_CHARACTERS]
    if not revision or revision in version:
        return version
    return f"{version} at {revision}" if version else revision


def kind_of(cause: Cause) -> str:
    """Return what the deployment behind an incident was: a rollback, a model switch."""
    return cause.deployment.kind.replace("_", " ") if cause.deployment is not None else "deployment"


def capital(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Return a text as a sentence: a capital at its beginning and a stop at its end."""
    text = text.strip()
    return capital(text) + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def numbers_in_words(numbers: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Return the numbers of an alert: what it is, what was seen and what is usual; a dash for what is not known.

    Examples
    --------
    >>> numbers_in_words({"usd_per_hour": 8.5, "usual_usd_per_hour": 0.02, "error_share": 0.015})
    [('Dollars per hour', '$8.50', '$0.02'), ('Error share', '1.5 %', '–')]
    """
    bare = dict.fromkeys(name.removeprefix(_USUAL) for name in numbers)
    return [(_name_of(name), _value(name, numbers), _value(_USUAL + name, numbers)) for name in bare]


def _name_of(number: str) -> str:
    return capital(number.replace("_", " ").replace("usd", "dollars", 1))


def _value(name: str, numbers: Mapping[str, float]) -> str:
    value = numbers.get(name)
    if value is None:
        return "–"
    if "usd" in name:
        return usd(value)
    return f"{100 * value:.3g} %" if name.endswith("share") else f"{value:,.4g}"
