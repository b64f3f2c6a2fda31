"""An alert as a person reads it, in one look: what burns, how much, why, who approved it, what to do now.

Every notifier shows the same message. Names are shortened one by one, in their middle, so that whatever a name
is made of, the dollars, the deployment and its approver are never cut off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from detectors.events import Alert, Cause, DeploymentEvent, MonthEnd
from streams.wording import DRIVERS, at_utc, in_order, place, signed_usd, stretch, usd, version_of

HEADLINE_CHARACTERS = 150
"""Slack's header block takes no more."""
FACT_CHARACTERS = 300
ACTION_CHARACTERS = 500
NAME_CHARACTERS = 48
URL_CHARACTERS = 2048
MOST_LINKS = 8

_OWNERS = frozenset({"team", "initiative"})
"""Whose it is; the headline says only what it is."""
_LEAST_PART = 0.05
"""A driver that moved less than this share of the one that moved most is not worth a word."""
_A_MINUTE = timedelta(minutes=1)


class Fact(msgspec.Struct, frozen=True):
    """One line of a message."""

    name: str
    text: str


class Link(msgspec.Struct, frozen=True):
    """Where to read on."""

    name: str
    url: str


class Message(msgspec.Struct, frozen=True):
    """An alert in words, within limits that every receiver takes.

    ``headline`` has at most 150 characters, each fact 300, ``action`` 500; all of it is one line of printable
    characters each, not escaped for any receiver yet. ``action`` is empty once the incident is over.
    """

    headline: str
    facts: tuple[Fact, ...]
    action: str
    links: tuple[Link, ...]
    footer: str


def message_of(alert: Alert, possible_duplicate: bool = False) -> Message:
    """Return an alert in words; a possible duplicate says so and names the key to compare."""
    return Message(
        headline=clip(_headline(alert), HEADLINE_CHARACTERS),
        facts=tuple(Fact(name, clip(text, FACT_CHARACTERS)) for name, text in _facts(alert) if tidy(text)),
        action=clip(alert.suggested_action, ACTION_CHARACTERS) if alert.state != "resolved" else "",
        links=tuple(_links(alert)),
        footer=clip(_footer(alert, possible_duplicate), FACT_CHARACTERS),
    )


def tidy(text: str) -> str:
    r"""Return a text as one line of printable characters.

    Examples
    --------
    >>> tidy(" two\nlines\x1b[31m and a \u202ereversal ")
    'two lines [31m and a reversal'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clip(text: str, limit: int) -> str:
    """Return a tidy text of at most ``limit`` UTF-16 units (what JavaScript counts as characters).

    Examples
    --------
    >>> clip("far too long", 8)
    'far too…'
    """
    text = tidy(text)
    if 2 * len(text) <= limit or units(text) <= limit:
        return text
    used = 1
    for at, character in enumerate(text):
        used += units(character)
        if used > limit:
            return text[:at].rstrip() + "…"
    return text


def units(text: str) -> int:
    """UTF-16 units of a text; never less than its characters."""
    return len(text) + sum(c > "\uffff" for c in text)


def short(name: str, limit: int = NAME_CHARACTERS) -> str:
    """Return a name shortened in its middle, since names differ at both ends.

    Examples
    --------
    >>> short("summarizer-production-eu-west-1-blue", 20)
    'summarize…st-1-blue'
    """
    name = tidy(name)
    if units(name) <= limit:
        return name
    half = (limit - 1) // 2 if len(name) == units(name) else (limit - 1) // 4
    return f"{name[:half]}…{name[-half:]}"


def lasting(span: timedelta) -> str:
    """Return how long something took."""
    return stretch(int(span.total_seconds() // 60))


def where(scope: dict[str, str]) -> tuple[str, str]:
    """Return what burns and the rest of the scope, both shortened.

    Examples
    --------
    >>> where({"team": "search", "service": "answers", "model": "m-large"})
    ('answers', 'model m-large, team search')
    """
    named = {short(name): short(value) for name, value in scope.items() if tidy(value)}
    rest = [f"{name} {named[name]}" for name in in_order(named)[1:]]
    return place(named), ", ".join(rest[:6])


def whole_place(alert: Alert) -> str:
    """Return all of where an alert burns; its initiative is told of by what was declared."""
    burning, rest = where({name: value for name, value in alert.scope.items() if value != alert.intent.initiative})
    return f"{burning}, {rest}" if rest else burning


def approved_by(deployment: DeploymentEvent) -> str:
    """Return who approved a deployment, in words."""
    return f"approved by {short(deployment.approver, 40) or 'nobody'}"


def _headline(alert: Alert) -> str:
    narrow = {name: value for name, value in alert.scope.items() if name not in _OWNERS}
    burning, rest = where(narrow or alert.scope)
    if alert.state == "resolved":
        lasted = lasting(alert.time - alert.onset)
        if not has_dollars(alert):
            return f"Resolved: {burning}, after {lasted}"
        return f"Resolved: {burning} burned {usd(alert.excess_usd)} above expected in {lasted}"
    kind = alert.severity.capitalize() if alert.state == "firing" else "Came back" if alert.came_back else "Update"
    if not has_dollars(alert):
        return f"{kind}: {alert.reason}" if burning in alert.reason else f"{kind}: {burning}: {alert.reason}"
    so_far = f", {usd(alert.excess_usd)} so far" if alert.state == "updated" else ""
    within = f" ({rest})" if rest else ""
    return f"{kind}: {burning} burns {usd(alert.usd_per_hour)}/h above expected{so_far}{within}"


def has_dollars(alert: Alert) -> bool:
    """Whether the alert's dollars are known: those of a model that nobody priced are not, which is not zero."""
    return not (alert.usd_per_hour <= 0 and alert.excess_usd <= 0)


def _facts(alert: Alert) -> Iterator[tuple[str, str]]:
    yield "How much", _how_much(alert)
    yield "Since", _since(alert)
    if has_dollars(alert) or alert.state != "firing":  # else the headline has said it
        yield "Why", alert.reason
    if has_dollars(alert):
        yield "Driver", _driver(alert.cause)
    yield "Deployment", _deployment(alert)
    yield "Where", whole_place(alert)
    yield "Declared", _declared(alert)
    if has_dollars(alert):
        yield "Month end", _month_end(alert.month_end)


def _how_much(alert: Alert) -> str:
    if not has_dollars(alert):
        return "not known"
    above = f"{usd(alert.excess_usd)} above expected {'in all' if alert.state == 'resolved' else 'so far'}"
    if not alert.expected_usd:  # a new thing, or what has been counted so far is shorter than what was seen
        return above
    return f"{above} ({usd(alert.observed_usd)} spent, {usd(alert.expected_usd)} expected)"


def _since(alert: Alert) -> str:
    lasted = lasting(alert.time - alert.onset)
    if alert.state != "resolved":
        return f"{at_utc(alert.onset)}, for {lasted}"
    because = f"; {short(alert.resolved_because, 100)}" if alert.resolved_because else ""
    return f"{at_utc(alert.onset)} to {at_utc(alert.time)} ({lasted}){because}"


def _driver(cause: Cause) -> str:
    known = {name: part for name, part in cause.contributions_usd.items() if math.isfinite(part)}
    least = max(0.005, _LEAST_PART * max((abs(part) for part in known.values()), default=0.0))
    moved = {name: part for name, part in known.items() if abs(part) >= least}
    own = moved.pop(cause.driver, 0.0)
    others = sorted(moved.items(), key=lambda item: (-abs(item[1]), item[0]))[:3]
    text = DRIVERS.get(cause.driver, short(cause.driver)) + (f" {signed_usd(own)}" if own else "")
    besides = ", ".join(f"{DRIVERS.get(name, short(name))} {signed_usd(part)}" for name, part in others)
    return f"{text}; besides {besides}" if besides else text


def _deployment(alert: Alert) -> str:
    deployment = alert.cause.deployment
    if deployment is None:
        return short(alert.cause.deployment_id) if alert.cause.deployment_id else "none explains it"
    version = f" {short(version_of(deployment), 48)}" if tidy(version_of(deployment)) else ""
    before = alert.onset - deployment.time
    lag = f"{lasting(before)} before the onset" if before >= _A_MINUTE else "with the onset"
    kind = deployment.kind.replace("_", " ")
    return f"{kind}{version} ({short(deployment.id)}) {_people(deployment)}, {at_utc(deployment.time)}, {lag}"


def _people(deployment: DeploymentEvent) -> str:
    actor = short(deployment.actor, 40) or "somebody unnamed"
    return f"by {actor}, {approved_by(deployment)}"


def _declared(alert: Alert) -> str:
    intent, said = alert.intent, alert.decision
    if said is not None and said.decision == "intended":
        of = f", for initiative {short(intent.initiative)}" if intent.initiative else ""
        return f"yes, as {short(said.by)} said{of}"
    if intent.verdict == "undeclared" or not intent.initiative:
        return "no, no initiative covers it"
    approver = f"approver {short(intent.approver)}" if intent.approver else "no approver"
    covered = "yes, by initiative" if intent.verdict == "intentional" else "yes, but not like this: initiative"
    reason = f": {short(intent.reason, 100)}" if tidy(intent.reason) else ""
    return f"{covered} {short(intent.initiative)}, {approver}{reason}"


def _month_end(month_end: MonthEnd) -> str:
    text = f"{usd(month_end.forecast_usd)} likely ({usd(month_end.low_usd)} to {usd(month_end.high_usd)})"
    if month_end.budget_usd is None:
        return f"{text}; no budget declared"
    chance, budget = month_end.p_over_budget, usd(month_end.budget_usd)
    if chance is None or not 0 <= chance <= 1:
        return f"{text}; budget {budget}"
    return f"{text}; {chance:.0%} likely to pass the budget of {budget}"


def _links(alert: Alert) -> Iterator[Link]:
    links = dict(alert.links)
    if alert.cause.deployment is not None:
        links.setdefault("change", alert.cause.deployment.change_url)
    safe = [Link(short(name) or "link", url) for name, url in links.items() if _is_safe(url)]
    yield from safe[:MOST_LINKS]


def _is_safe(url: str) -> bool:
    """Whether a URL is of the web, and nothing in it could end a link early."""
    if len(url) > URL_CHARACTERS or not url.isascii() or any(c in url for c in ' <>|"\\`') or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _footer(alert: Alert, possible_duplicate: bool) -> str:
    key = f"{short(alert.alert_id)} #{alert.sequence}"
    footer = f"{key} · {short(alert.detector)} · p {alert.p_value:.2g} · {at_utc(alert.time)}"
    return f"{footer} · may have been sent before: compare {key}" if possible_duplicate else footer
