"""Mistakes that no single value shows: what contradicts itself, comes twice, or can never matter.

Each check reads what the checker could decode, so it speaks also where a neighbour has a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from detectors.incidents.links import wrong_with
from detectors.judging.budget import PageBudget
from streams.configuration.mistakes import nearest_word
from streams.configuration.yaml_check import Checker
from streams.delivery.routes import fits


def check_burstwatch(checker: Checker) -> None:
    """Check ``burstwatch.yaml``: views, names of detectors, lateness, promises, links, money."""
    for view in checker.entries("views"):
        dimensions = checker.get(view) or ()
        repeated = sorted({d for d in dimensions if dimensions.count(d) > 1})
        if repeated:
            checker.add(view, f"{', '.join(repeated)} given twice in one view: keep one", found=", ".join(dimensions))
    _once(
        checker,
        "view",
        ((v, frozenset(checker.get(v))) for v in checker.entries("views") if checker.get(v) is not None),
    )
    named = ((d, checker.get(f"{d}.name") or checker.get(f"{d}.kind")) for d in checker.entries("detectors"))
    _once(checker, "detector", ((d, name) for d, name in named if name), cure="give it a name of its own")
    late, accepted = checker.get("intake.allowed_lateness_minutes"), checker.get("intake.accept_late_minutes")
    if late is not None and accepted is not None and accepted < late:
        checker.add(
            "intake.accept_late_minutes", f"is below allowed_lateness_minutes ({late}): raise it to {late} or more"
        )
    promised = checker.get("page_budget")
    for name in checker.names("page_budget.teams"):
        own = checker.get(f"page_budget.teams.{name}")
        if promised is not None and own is not None and own.pages_per_week > promised.pages_per_week:
            checker.add(f"page_budget.teams.{name}", _above(promised), severity="warning")
    for name in checker.names("links"):
        template = checker.get(f"links.{name}")
        wrong = None if template is None else wrong_with(template)
        if wrong is not None:
            checker.add(f"links.{name}", wrong, found=template)
    page, ticket = checker.get("severity.page.usd_per_hour"), checker.get("severity.ticket.usd_per_hour")
    if page is not None and ticket is not None and page < ticket:
        checker.add(
            "severity.page.usd_per_hour",
            f"is below the ticket's {ticket:g}: what is worth a page is worth a ticket",
            severity="warning",
        )


def check_initiatives(checker: Checker, now: datetime | None) -> None:
    """Check ``initiatives.yaml``: ids, spans of time; expired ones only if told what time it is."""
    entries = list(checker.entries("initiatives"))
    _once(checker, "initiative", ((e, checker.get(f"{e}.id")) for e in entries if checker.get(f"{e}.id")), below=".id")
    for entry in entries:
        _in_order(checker, entry, "starts", "expires")
        expires = checker.get(f"{entry}.expires")
        if now is not None and expires is not None and expires <= now:
            checker.add(
                f"{entry}.expires",
                f"expired on {expires:%Y-%m-%d}: its spend counts as accidental; extend it, or remove it",
                severity="warning",
            )
        if checker.get(f"{entry}.match") == {}:
            checker.add(f"{entry}.match", "is empty, so that nothing matches: name a service, a team or a principal")
        if checker.get(f"{entry}.intent") == "experiment" and "principal" in (checker.get(f"{entry}.match") or {}):
            checker.add(
                f"{entry}.match",
                "names a principal, whose spend is not counted by key: neither experiment_over_ceiling nor "
                "experiment_expired speaks of it; match by service or by the label initiative instead",
                severity="warning",
            )
        for planned in checker.entries(f"{entry}.planned"):
            _in_order(checker, planned, "from", "to")


def check_routes(checker: Checker, promised: PageBudget | None = None) -> None:
    """Check ``routes.yaml``: every receiver that is named is declared, and every one declared is named.

    Parameters
    ----------
    checker
        Has read the file.
    promised
        What the organisation gets, if that is known.
    """
    declared = checker.names("receivers")
    if checker.has("receivers") and not declared:
        checker.add("receivers", "has no receiver, so that nobody would be told: declare one, such as {type: console}")
    lists = ["default", *(f"{route}.receivers" for route in checker.entries("routes"))]
    named = {place: checker.get(place) for path in lists for place in checker.entries(path)}
    for place, name in named.items():
        if name is not None and name not in declared:
            nearest = nearest_word(name, declared)
            hint = f", did you mean {nearest}?" if nearest else "."
            known = ", ".join(declared) or "nobody"
            checker.add(place, f"no receiver {name}{hint} Declared: {known}", found=name, nearest=nearest)
    for name in [] if checker.mistakes else declared:
        if name not in named.values():
            checker.add(f"receivers.{name}", "is named by no route: nothing is sent to it", severity="warning")
    _check_route_budgets(checker, promised)
    if checker.get("default") == ():
        checker.add("default", "is empty: what no route takes is told to nobody", severity="warning")


def _check_route_budgets(checker: Checker, promised: PageBudget | None) -> None:
    """Names once each; promises that can hold nothing back."""
    routes = list(checker.entries("routes"))
    _once(checker, "route", ((r, checker.get(f"{r}.name")) for r in routes if checker.get(f"{r}.name")), below=".name")
    for route in routes:
        own, severity = checker.get(f"{route}.page_budget"), checker.get(f"{route}.match.severity")
        if own is None:
            continue
        if severity is not None and not fits(severity, "page"):
            checker.add(
                f"{route}.page_budget", "holds nothing back: the route's match takes no page", severity="warning"
            )
        elif promised is not None and own.pages_per_week > promised.pages_per_week:
            checker.add(f"{route}.page_budget", _above(promised), severity="warning")


def _above(promised: PageBudget) -> str:
    return f"is above what the organisation gets ({promised.pages_per_week:g} a week): it holds nothing back"


def check_prices(checker: Checker) -> None:
    """Check ``prices.yaml``: one price for a model, provider and day."""
    parts = ("model", "provider", "from")
    entries = [e for e in checker.entries("prices") if not any(checker.is_bad(f"{e}.{part}") for part in parts)]
    keys = ((e, tuple(str(checker.get(f"{e}.{part}") or "").lower() for part in parts)) for e in entries)
    _once(checker, "price", ((e, key) for e, key in keys if key[0]), cure="give one of them another from")


def _in_order(checker: Checker, path: str, first: str, second: str) -> None:
    start, end = checker.get(f"{path}.{first}"), checker.get(f"{path}.{second}")
    if start is not None and end is not None and end <= start:
        checker.add(
            f"{path}.{second}",
            f"expected a time after {first} ({start.isoformat()}), found {end.isoformat()}",
            expected=f"a time after {start.isoformat()}",
            found=end.isoformat(),
        )


def _once(
    checker: Checker, what: str, named: Iterable[tuple[str, object]], below: str = "", cure: str = "keep one"
) -> None:
    """Say where something comes twice, and where it came first."""
    seen: dict[object, str] = {}
    for path, name in named:
        if name in seen:
            shown = f" {name}" if isinstance(name, str) else ""
            first = checker.line(seen[name] + below)
            checker.add(path + below, f"{what}{shown} given twice, first on line {first}: {cure}", found=str(name))
        else:
            seen[name] = path
