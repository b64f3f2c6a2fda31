"""The card of one incident: why, how much, the picture, the cause, whether it was meant, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from detectors.clock import MINUTES_PER_HOUR, minute_of
from detectors.events import DeploymentEvent, Feedback, Initiative
from streams.report.bars import month_range, waterfall
from streams.report.behind import numbers_behind
from streams.report.incidents import Picture, ReportedIncident, bucket_means, bucket_size, picture_of
from streams.report.markup import Child, add, link, tag
from streams.report.plot import MOST_STEPS, Axes, Mark, percent, spend_plot, strip
from streams.report.spend import SpendByMinute
from streams.wording import (
    DRIVERS,
    RISEN,
    capital,
    clock,
    counted,
    moment,
    place,
    sentence,
    stretch,
    usd,
    version_of,
)

_MEANT = {
    "intentional": "Declared, and within what was declared",
    "accidental": "Declared, but not like this",
    "undeclared": "Nobody declared this spend",
}


def card(
    number: int,
    incident: ReportedIncident,
    spend: SpendByMinute,
    deployments: Sequence[DeploymentEvent],
    initiatives: Mapping[str, Initiative],
) -> Element:
    """Return the card of an incident."""
    raised = incident.raised
    state = "resolved" if incident.is_over else "still firing"
    head = tag(
        "header",
        tag("span", str(number), class_="number", aria_hidden="true"),
        tag("h3", tag("bdi", place(incident.scope))),
        tag("span", incident.severity, class_=f"pill {incident.severity}"),
        tag("span", state, class_="pill over" if incident.is_over else "pill firing"),
    )
    details = tag(
        "div",
        tag(
            "div",
            tag("section", tag("h4", "What changed"), *_change(incident)),
            tag("section", tag("h4", "Where the month was heading"), month_range(raised.month_end)),
        ),
        tag("section", tag("h4", "Facts"), _facts(incident, deployments, initiatives)),
        class_="columns",
    )
    return tag(
        "article", head, tag("p", sentence(raised.reason), class_="reason"), _figures(incident),
        *_pictured(incident, spend, deployments), _todo(incident), details,
        *numbers_behind(raised.numbers), _history(incident),
        class_="card", id=f"incident-{number}",
    )  # fmt: skip


def _figures(incident: ReportedIncident) -> Element:
    lasted = incident.end_minute - incident.onset_minute
    after = incident.raised_minute - incident.onset_minute
    figures = [
        (usd(incident.last.excess_usd), "above expected" + ("" if incident.is_over else " so far")),
        (f"{usd(incident.peak_usd_per_hour)}/h", "above expected, at its peak"),
        (stretch(after), f"from onset to {'page' if incident.severity == 'page' else incident.severity}"),
        (stretch(lasted), "from onset to resolved" if incident.is_over else "since the onset"),
    ]
    return tag("dl", *(figure(value, name) for value, name in figures), class_="figures")


def figure(value: str, name: str) -> Element:
    """Return one number that matters, with its name."""
    return tag("div", tag("dt", name), tag("dd", value))


def _pictured(
    incident: ReportedIncident, spend: SpendByMinute, deployments: Sequence[DeploymentEvent]
) -> list[Element]:
    picture = picture_of(incident, spend, deployments)
    if picture is None:
        return [tag("p", "No spend is known of this time, so there is no picture.", class_="note")]
    told = (
        f"Spend of {place(incident.scope)} from {moment(picture.first_minute)} to {moment(picture.end_minute)} UTC: "
        f"at most {usd(float(picture.observed.max()))} a minute."
    )
    plot = spend_plot(picture, _marks(incident, picture, deployments), told)
    return [tag("figure", plot, _caption(incident, picture)), tag("figure", *_whole_period(incident, spend))]


def _whole_period(incident: ReportedIncident, spend: SpendByMinute) -> list[Element]:
    """Return the scope's spend in all of the period, so that one sees how odd the incident is."""
    size = max(MINUTES_PER_HOUR, bucket_size(spend.end_minute - spend.first_minute, MOST_STEPS))
    hourly = bucket_means(spend.of(incident.scope), size) * MINUTES_PER_HOUR
    end = spend.first_minute + size * len(hourly)
    axes = Axes(spend.first_minute, end, 1.0)
    left, right = axes.x(incident.onset_minute), axes.x(incident.end_minute)
    band = tag("i", class_="band", style=f"left:{percent(left)};width:max(2px,{percent(right - left)});--row:0")
    told = f"All of the period: at most {usd(float(hourly.max()))} an hour."
    note = f"The whole period, $ an hour; each step is the mean of {stretch(size)}, the band is this incident."
    return [
        strip(spend.first_minute, size, hourly, [band], 0, told),
        tag("figcaption", tag("span", note, class_="note")),
    ]


def _marks(incident: ReportedIncident, picture: Picture, deployments: Sequence[DeploymentEvent]) -> list[Mark]:
    raised_word = "page" if incident.severity == "page" else incident.severity
    marks = [
        Mark(incident.onset_minute, "onset", f"onset {clock(incident.onset_minute)}"),
        Mark(incident.raised_minute, "raised", f"{raised_word} {clock(incident.raised_minute)}"),
    ]
    if incident.is_over:
        marks.append(Mark(incident.end_minute, "resolved", f"resolved {clock(incident.end_minute)}"))
    guilty = incident.raised.cause.deployment_id
    for deployment in deployments:
        at = minute_of(deployment.time)
        if not picture.first_minute <= at < picture.end_minute:
            continue
        if deployment.id == guilty:
            by = f" by {deployment.actor}" if deployment.actor else ""
            marks.append(Mark(at, "deployment", f"{deployment.kind.replace('_', ' ')} {deployment.id}{by} {clock(at)}"))
        elif deployment.service == incident.scope.get("service"):
            text = f"{moment(at)}: {deployment.kind} {deployment.id}, {deployment.status}; not held to be the cause"
            marks.append(Mark(at, "quiet", text))
    return marks


def _caption(incident: ReportedIncident, picture: Picture) -> Element:
    keys = (
        tag("span", "observed, $ a minute", class_="key observed"),
        tag("span", "expected", class_="key expected"),
        tag("span", "above expected", class_="key excess"),
    )
    size = picture.bucket_minutes
    words = "Each step is a minute." if size == 1 else f"Each step is the mean of {stretch(size)}."
    words += " Expected is observed less the excess that the alerts report, so the filled area is that excess."
    if "principal" in incident.scope:
        words += " The whole service is shown: its principals are not kept apart here."
    readout = tag("output", class_="readout", aria_hidden="true")
    return tag("figcaption", tag("span", *keys, class_="keys"), readout, tag("span", words, class_="note"))


def _todo(incident: ReportedIncident) -> Element:
    links = [piece for name, url in incident.raised.links.items() for piece in (" ", link(name, url))]
    label = "What to do" if not incident.is_over else "What was advised"
    return tag("p", tag("b", label), " ", sentence(incident.raised.suggested_action), *links, class_="todo")


def _change(incident: ReportedIncident) -> list[Element]:
    cause = incident.raised.cause
    bars = waterfall(cause.contributions_usd)
    total = sum(cause.contributions_usd.values())
    if bars is None:
        return [tag("p", "The alert gives no parts.", class_="note")]
    told = (
        f"In the minutes that raised the alert, spend was {usd(abs(total))} {'above' if total >= 0 else 'below'} "
        "the usual. This is why, driver by driver; the parts add up exactly."
    )
    return [bars, tag("p", told, class_="note")]


def _facts(
    incident: ReportedIncident, deployments: Sequence[DeploymentEvent], initiatives: Mapping[str, Initiative]
) -> Element:
    raised = incident.raised
    where = tag("span", class_="scope")
    for name, value in incident.scope.items():
        add(where, tag("span", tag("small", name), " ", tag("bdi", value)))
    if not incident.scope:
        add(where, "the whole organisation")
    ended = f", resolved {moment(incident.end_minute)}" if incident.is_over else ""
    because = f" ({incident.last.resolved_because})" if incident.last.resolved_because else ""
    driver = capital(DRIVERS.get(raised.cause.driver, raised.cause.driver))
    facts: list[tuple[str, list[Child]]] = [
        ("Where", [where]),
        ("When", [f"Onset {moment(incident.onset_minute)}{ended}{because}"]),
        ("Driver", [tag("b", driver), ": ", RISEN.get(raised.cause.driver, raised.cause.driver)]),
        ("Deployment", _deployment(incident, deployments)),
        ("Meant?", _intent(incident, initiatives)),
        ("Detector", [f"{raised.detector}, score {raised.score:.3g}, p {raised.p_value:.2g}"]),
    ]
    if incident.last.decision is not None:
        facts.insert(-1, ("Decided", _decided(incident.last.decision)))
    listed = tag("dl", class_="facts")
    for name, told in facts:
        add(listed, tag("dt", name))
        add(listed, tag("dd", *told))
    return listed


def _deployment(incident: ReportedIncident, deployments: Sequence[DeploymentEvent]) -> list[Child]:
    cause = incident.raised.cause
    if cause.deployment_id is None:
        return ["None explains it"]
    known = cause.deployment or next((d for d in deployments if d.id == cause.deployment_id), None)
    if known is None:
        return [tag("b", cause.deployment_id)]
    lag = incident.onset_minute - minute_of(known.time)
    said = f" {version_of(known)}" if version_of(known) else ""
    said += f" by {known.actor or 'somebody unnamed'}"
    said += f", approved by {known.approver}" if known.approver else ", approved by nobody"
    said += f"; {moment(known.time)}, " + (f"{stretch(lag)} before the onset" if lag > 0 else "with the onset")
    kind = known.kind.replace("_", " ")
    told: list[Child] = [tag("b", f"{kind} {known.id}"), said, "; failed" if known.status == "failed" else ""]
    return [*told, " ", link("the change", known.change_url)] if known.change_url else told


def _intent(incident: ReportedIncident, initiatives: Mapping[str, Initiative]) -> list[Child]:
    intent = incident.raised.intent
    told: list[Child] = [tag("b", _MEANT.get(intent.verdict, intent.verdict))]
    if intent.initiative is None:
        return told
    told.append(f". {intent.initiative}")
    known = initiatives.get(intent.initiative)
    if known is not None:
        told.append(f" ({known.intent}, {known.stage}): {known.outcome}; owner {known.owner}")
    if intent.approver:
        told.append(f", approver {intent.approver}")
    if intent.reason:
        told.append(f": {intent.reason}")
    return told


def _decided(decision: Feedback) -> list[Child]:
    why = f": {decision.why}" if decision.why else ""
    return [tag("b", decision.decision), f" by {decision.by}, {moment(decision.time)}{why}"]


def _history(incident: ReportedIncident) -> Element:
    head = tag(
        "tr",
        *(tag("th", name, scope="col") for name in ("Time (UTC)", "State", "Severity", "Above expected", "An hour")),
    )
    rows = [
        tag(
            "tr", tag("td", moment(alert.time)), tag("td", alert.state), tag("td", alert.severity),
            tag("td", usd(alert.excess_usd), class_="amount"), tag("td", usd(alert.usd_per_hour), class_="amount"),
        )
        for alert in incident.alerts
    ]  # fmt: skip
    told = f"{counted(len(incident.alerts), 'alert')} sent as {incident.alert_id}"
    table = tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="wide")
    return tag("details", tag("summary", told), table)
