"""The whole page: the answer first, then each incident, then the tables."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

from detectors.clock import MINUTES_PER_HOUR
from detectors.events import Alert, DeploymentEvent, Initiative
from streams.replay.replay import ReplaySummary
from streams.report.bars import share_bar
from streams.report.card import card, figure
from streams.report.incidents import ReportedIncident, bucket_means, bucket_size, gather, without_echoes
from streams.report.markup import Child, html, tag
from streams.report.plot import MOST_STEPS, Axes, percent, strip
from streams.report.spend import SpendByMinute
from streams.wording import RISEN, counted, kind_of, moment, place, stretch, usd

_LANE_WIDTH = 0.035
"""Incidents that begin closer than this share of the overview stand below one another."""


def write_report(
    path: Path,
    alerts: Sequence[Alert],
    spend: SpendByMinute,
    deployments: Sequence[DeploymentEvent],
    initiatives: Sequence[Initiative],
    summary: ReplaySummary,
) -> None:
    """Write what was spent, what burned and why as one HTML file that needs no other.

    Parameters
    ----------
    path
        Where to; overwritten.
    alerts
        All that were raised, of every severity, in the order in which they were.
    spend
        What was spent in the period, as :class:`~streams.report.spend.SpendCounter` collected it.
    deployments, initiatives
        All that are known.
    summary
        What was read.
    """
    incidents = gather(alerts)
    pages = [incident for incident in incidents if incident.severity == "page"]
    numbers = {incident.alert_id: number for number, incident in enumerate(pages, 1)}
    declared = {initiative.id: initiative for initiative in initiatives}
    cards = [card(numbers[i.alert_id], i, spend, deployments, declared) for i in pages]
    main = tag(
        "main",
        _answer(pages, spend),
        _overview(pages, numbers, spend),
        tag("section", tag("h2", "Incidents that paged, the dearest first"), *cards, class_="cards") if cards else None,
        _all_alerts(incidents, numbers),
        _teams(incidents, spend),
        _footer(spend, deployments, summary),
    )
    path.write_text(_document(_title(pages), main), encoding="utf-8", errors="xmlcharrefreplace")


def _document(title: str, main: Element) -> str:
    """Return the file; its policy lets nothing be fetched and no script run but its own."""
    here = files("streams.report")
    style, script = (here.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", style),
    )
    page = tag("html", head, tag("body", main, tag("script", script)), lang="en")
    return "<!DOCTYPE html>\n" + html(page) + "\n"


def _title(pages: Sequence[ReportedIncident]) -> str:
    return f"Burstwatch: {counted(len(pages), 'incident')} paged" if pages else "Burstwatch: nothing paged"


def _excess(incidents: Sequence[ReportedIncident]) -> float:
    return sum(incident.last.excess_usd for incident in without_echoes(incidents))


def _answer(pages: Sequence[ReportedIncident], spend: SpendByMinute) -> Element:
    """Return the answer: how many incidents, how many dollars, what burns."""
    total = float(spend.usd.sum())
    firing = [incident for incident in pages if not incident.is_over]
    said: list[Child] = ["Nothing burned that was worth a page."]
    if pages:
        said = [f"{counted(len(pages), 'incident')}, ", tag("em", f"{usd(_excess(pages))} above expected"), "."]
    waits = sorted(incident.raised_minute - incident.onset_minute for incident in pages)
    figures = [
        (str(len(pages)), "paged"),
        (str(len(firing)), "still firing"),
        (stretch(waits[len(waits) // 2]) if waits else "–", "from onset to page, median"),
        (usd(total), f"spent in {stretch(spend.usd.shape[1])}"),
    ]
    period = f"{moment(spend.first_minute)} to {moment(spend.end_minute)} UTC" if spend.usd.size else "no spend"
    return tag(
        "header", tag("p", tag("b", "Burstwatch"), f" · {period}", class_="brand"), tag("h1", *said),
        tag("p", *_burning(pages, firing), class_="lead") if pages else None,
        tag("dl", *(figure(value, name) for value, name in figures), class_="figures"), class_="answer",
    )  # fmt: skip


def _burning(pages: Sequence[ReportedIncident], firing: Sequence[ReportedIncident]) -> list[Child]:
    worst = max(without_echoes(pages), key=lambda incident: incident.last.excess_usd)
    cause = worst.raised.cause
    said: list[Child] = ["The dearest was ", _unbroken(place(worst.scope)), f": {usd(worst.last.excess_usd)} by "]
    said.append(RISEN.get(cause.driver, cause.driver))
    if cause.deployment_id:
        said += [f" after {kind_of(cause)} ", _unbroken(cause.deployment_id)]
    if not firing:
        return [*said, ". Everything is quiet again."]
    burning = ", ".join(f"{place(i.scope)} ({usd(i.last.usd_per_hour)} an hour)" for i in firing)
    return [*said, f". Still burning: {burning}."]


def _unbroken(name: str) -> Element:
    """Return a name that is not broken at its hyphens."""
    return tag("bdi", name, class_="unbroken")


def _overview(pages: Sequence[ReportedIncident], numbers: dict[str, int], spend: SpendByMinute) -> Element | None:
    """Return the whole period in one picture, with each incident in its place."""
    if not spend.usd.size:
        return None
    size = max(MINUTES_PER_HOUR, bucket_size(spend.usd.shape[1], MOST_STEPS))
    hourly = bucket_means(spend.of({}), size) * MINUTES_PER_HOUR
    axes = Axes(spend.first_minute, spend.first_minute + size * len(hourly), 1.0)
    bands, lanes = _bands(axes, pages, numbers)
    told = (
        f"All spend from {moment(axes.first_minute)} to {moment(axes.end_minute)}: at most {usd(hourly.max())} an hour."
    )
    plot = strip(spend.first_minute, size, hourly, bands, lanes, told)
    plot.set("class", "plot strip overview")
    note = f"All spend, $ an hour; each step is the mean of {stretch(size)}. A number is an incident below."
    return tag("figure", plot, tag("figcaption", tag("span", note, class_="note")))


def _bands(axes: Axes, pages: Sequence[ReportedIncident], numbers: dict[str, int]) -> tuple[list[Element], int]:
    """Return the incidents as bands, with how many lanes their numbers need so that none hides another."""
    ends: list[float] = []
    bands = []
    for incident in sorted(pages, key=lambda i: i.onset_minute):
        left, right = axes.x(incident.onset_minute), axes.x(incident.end_minute)
        lane = next((n for n, end in enumerate(ends) if end <= left), len(ends))
        ends[lane : lane + 1] = [left + _LANE_WIDTH]
        number = numbers[incident.alert_id]
        bands.append(
            tag(
                "a", tag("span", str(number)), class_="band", href=f"#incident-{number}",
                title=f"{place(incident.scope)}, {moment(incident.onset_minute)}",
                style=f"left:{percent(left)};width:max(2px,{percent(right - left)});--row:{lane}",
            )
        )  # fmt: skip
    return bands, len(ends)


def _all_alerts(incidents: Sequence[ReportedIncident], numbers: dict[str, int]) -> Element:
    names = (
        "",
        "Where",
        "Severity",
        "State",
        "Onset (UTC)",
        "Told after",
        "Cause",
        "Deployment",
        "Meant?",
        "Above expected",
    )
    rows = []
    for incident in sorted(incidents, key=lambda i: (i.onset_minute, i.alert_id)):
        number = numbers.get(incident.alert_id)
        cells: list[Child] = [
            tag("a", str(number), href=f"#incident-{number}") if number else None,
            tag("bdi", place(incident.scope)),
            tag("span", incident.severity, class_=f"pill {incident.severity}"),
            "resolved" if incident.is_over else "firing",
            moment(incident.onset_minute),
            stretch(incident.raised_minute - incident.onset_minute),
            incident.raised.cause.driver.replace("_", " "),
            incident.raised.cause.deployment_id or "–",
            incident.raised.intent.verdict,
            usd(incident.last.excess_usd),
        ]
        rows.append(_row(cells, amounts=(5, 9)))
    if not rows:
        return tag("section", tag("h2", "All alerts"), tag("p", "None.", class_="note"))
    counts = ", ".join(
        counted(n, name) for name in ("page", "ticket", "info") if (n := sum(i.severity == name for i in incidents))
    )
    return tag("section", tag("h2", "All alerts"), tag("p", counts, class_="note"), _table(names, rows, (5, 9)))


def _teams(incidents: Sequence[ReportedIncident], spend: SpendByMinute) -> Element | None:
    by_team = spend.by_team()
    total = sum(by_team.values())
    if not total:
        return None
    excess: dict[str, float] = defaultdict(float)
    for incident in incidents:
        # Only a service's spend is its team's alone: a model or the organisation belongs to all of them.
        if incident.severity == "page" and "service" in incident.scope:
            excess[incident.scope.get("team", "")] += incident.last.excess_usd
    rows = [
        _row(
            [tag("bdi", team or "no team"), usd(spent), f"{spent / total:.1%}", usd(excess[team]),
             share_bar(spent / max(by_team.values()), excess[team] / max(by_team.values()))],
            amounts=(1, 2, 3),
        )
        for team, spent in by_team.items()
    ]  # fmt: skip
    names = ("Team", "Spent", "Share", "Above expected, paged", "")
    return tag("section", tag("h2", "Spend by team"), _table(names, rows, (1, 2, 3), "teams"))


def _row(cells: Sequence[Child], amounts: Sequence[int]) -> Element:
    return tag("tr", *(tag("td", cell, class_="amount" if n in amounts else None) for n, cell in enumerate(cells)))


def _table(names: Sequence[str], rows: Sequence[Element], amounts: Sequence[int], kind: str = "") -> Element:
    head = [tag("th", name, scope="col", class_="amount" if n in amounts else None) for n, name in enumerate(names)]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_=kind or None)
    return tag("div", table, class_="wide", tabindex="0")


def _footer(spend: SpendByMinute, deployments: Sequence[DeploymentEvent], summary: ReplaySummary) -> Element:
    read = [
        counted(summary.taken, "usage event"),
        counted(summary.duplicates, "duplicate"),
        f"{summary.late:,} late",
        f"{summary.rejected:,} rejected",
        f"{summary.unpriced:,} unpriced",
        counted(len(deployments), "deployment"),
    ]
    notes = (
        "Dollars above expected are what the alerts say. An incident that names no service counts towards the sum at "
        "the top only where no service's incident runs at the same time: no dollar counts twice. Times are UTC."
    )
    return tag("footer", tag("p", "Read: " + ", ".join(read) + "."), tag("p", notes))
