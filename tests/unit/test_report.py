"""The report as a whole: one valid, self-contained file that tells of everything and runs nothing that it is told."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.events import Alert, Cause, DeploymentEvent, Feedback, Initiative, Intent
from streams.replay.replay import ReplaySummary
from streams.report import SpendByMinute, write_report
from tests.unit.reported import alert, at, deployment, flat, life, spend

INLINE = {"a", "b", "bdi", "em"}
VOID = {"meta", "line", "br", "img", "input", "link", "hr"}
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></style></title>&amp;<!--"


class Page(HTMLParser):
    """A parsed page; an end tag that fits no open element is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.raw: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, {key: value or "" for key, value in attributes}))
        if name not in VOID:
            self._open.append(name)
        if name not in INLINE:
            self.words.append(" ")

    def handle_endtag(self, name: str) -> None:
        if name not in VOID:
            assert self._open, f"</{name}> closes nothing"
            assert self._open.pop() == name

    def handle_data(self, text: str) -> None:
        if self._open and self._open[-1] in {"script", "style"}:
            self.raw[self._open[-1]] = text
        else:
            self.words.append(text)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, name: str, **wanted: str) -> list[dict[str, str]]:
        """Attributes of the elements of a name with these among them."""
        return [a for n, a in self.elements if n == name and wanted.items() <= a.items()]


def report(
    path: Path,
    alerts: list[Alert],
    money: SpendByMinute | None = None,
    deployments: tuple[DeploymentEvent, ...] = (),
    initiatives: tuple[Initiative, ...] = (),
) -> Page:
    file = path / "report.html"
    write_report(file, alerts, money or spend(), deployments, initiatives, ReplaySummary(taken=7, duplicates=2))
    return Page(file.read_text("utf-8"))


def test_the_first_thing_said_is_how_many_incidents_and_how_many_dollars(tmp_path: Path) -> None:
    page = report(tmp_path, [*life(), alert(alert_id="bw-2", excess_usd=7.0, scope={"service": "other"})])
    assert page.text.split("from onset to page")[0].count("2 incidents, $57.00 above expected.") == 1


def test_what_still_burns_is_named_and_comes_before_dearer_incidents_that_are_over(tmp_path: Path) -> None:
    page = report(tmp_path, [*life(), alert(alert_id="bw-2", excess_usd=7.0, scope={"service": "other"})])
    assert "Still burning: other ($60.00 an hour)." in page.text
    assert page.text.index("1 other") < page.text.index("2 bot")


def test_each_paged_incident_has_a_card_with_its_reason_picture_cause_deployment_intent_and_advice(
    tmp_path: Path,
) -> None:
    page = report(tmp_path, life(), deployments=(deployment(),))
    assert [card["id"] for card in page.all("article")] == ["incident-1"]
    for said in (
        "Prompts doubled on bot.",
        "$50.00 above expected",
        "deployment dep-1 by gus 00:40",
        "onset 00:50",
        "page 01:01",
        "resolved 02:40",
        "deployment dep-1 1.2 by gus, approved by hana; 2026-10-02 00:40, 10 min before the onset",
        "Declared, but not like this",
        "approver ana",
        "$900 by month end ($700 to $1,200), budget $1,000, 30% likely to pass it",
        "Roll back dep-1.",
        "3 alerts sent as bw-1",
    ):
        assert said in page.text


def test_the_parts_of_the_change_stand_with_their_sum(tmp_path: Path) -> None:
    page = report(tmp_path, life())
    assert "Input tokens a request +$3.00 Requests −$1.00 Together +$2.00" in page.text


def test_alerts_that_woke_nobody_are_in_the_table_and_have_no_card(tmp_path: Path) -> None:
    page = report(tmp_path, [alert(severity="ticket", scope={"service": "minor"}), *life(alert_id="bw-9")])
    assert len(page.all("article")) == 1
    assert "1 page, 1 ticket" in page.text
    assert "minor" in page.text


def test_a_ticket_that_rose_to_a_page_is_one_incident_paged_when_it_rose(tmp_path: Path) -> None:
    page = report(tmp_path, [alert(1492, severity="ticket", sequence=1), alert(1500, sequence=2)])
    assert "1 incident," in page.text
    assert "page 01:01" in page.text


def test_each_team_has_its_spend_and_its_share(tmp_path: Path) -> None:
    money = spend(bot=flat(3.0), other=flat(1.0))
    apart = SpendByMinute(money.first_minute, (money.places[0], ("ads", *money.places[1][1:])), money.usd)
    page = report(tmp_path, life(), apart)
    assert "search $8,640 75.0% $50.00 ads $2,880 25.0% $0" in page.text


def test_nothing_raised_and_nothing_spent_is_a_report_too(tmp_path: Path) -> None:
    page = report(tmp_path, [], SpendByMinute(0, (), flat(minutes=0).reshape(0, 0)))
    assert "Nothing burned that was worth a page." in page.text
    assert "7 usage events, 2 duplicates" in page.text


def test_an_incident_outside_of_the_known_spend_has_a_card_without_a_picture(tmp_path: Path) -> None:
    page = report(tmp_path, life(), spend(bot=flat(minutes=10)))
    assert "No spend is known of this time" in page.text


def test_the_file_fetches_nothing_and_runs_only_its_own_script(tmp_path: Path) -> None:
    page = report(tmp_path, life(links={"runbook": "https://wiki.example/burst"}), deployments=(deployment(),))
    outside = [a for _, attributes in page.elements for k, a in attributes.items() if k in {"src", "href", "srcset"}]
    assert {url for url in outside if not url.startswith("#")} == {"https://wiki.example/burst"}
    assert "url(" not in page.raw["style"]
    assert "@import" not in page.raw["style"]
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    digest = base64.b64encode(hashlib.sha256(page.raw["script"].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def hostile_alert(text: str) -> Alert:
    scope = dict.fromkeys(("team", "service", "principal", "model", "initiative", "surprise"), text)
    cause = Cause("requests", text, {text: 1.0}, deployment(id=text, actor=text, change_url=f"https://{text}"), text)
    return alert(
        alert_id=text or "bw-1",
        scope=scope,
        cause=cause,
        reason=text,
        suggested_action=text,
        detector=text,
        links={text: f"javascript:{text}"},
        intent=Intent(text, "accidental", text),
        resolved_because=text,
    )


def shape(page: Page) -> list[tuple[str, list[str]]]:
    """Elements with the names of their attributes, what is free to differ left out."""
    return [(name, sorted(attributes)) for name, attributes in page.elements if name not in {"a", "span"}]


def initiative(text: str) -> Initiative:
    return Initiative(text, text, text, text, "production", "explore", text, {"service": text})


def test_names_cannot_add_elements_attributes_or_scripts(tmp_path: Path) -> None:
    def page_of(text: str) -> Page:
        changes = deployment(id="else", service=text, version=text, actor=text)
        return report(tmp_path, [hostile_alert(text)], spend(**{text: flat()}), (changes,), (initiative(text),))

    tame, hostile = page_of("tame"), page_of(HOSTILE)
    assert shape(hostile) == shape(tame)
    assert HOSTILE in hostile.text
    assert not [name for name, _ in hostile.elements if name in {"img", "iframe", "object"}]
    assert not [key for _, attributes in hostile.elements for key in attributes if key.startswith("on")]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_name_makes_a_valid_page(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    page = report(folder, [hostile_alert(text)], spend(), (), (initiative(text),))
    assert len(page.all("script")) == 1
    assert len(page.all("article")) == 1


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//host/x", "https://[broken", "file:///x", ""]
)
def test_only_addresses_of_the_web_become_links(tmp_path: Path, url: str) -> None:
    cause: Any = Cause("requests", "dep-1", {}, deployment(change_url=url))
    page = report(tmp_path, [alert(links={"go": url}, cause=cause)])
    assert [a for a in page.all("a") if not a["href"].startswith("#")] == []


def test_a_fortnight_in_one_incident_stays_a_small_file(tmp_path: Path) -> None:
    fortnight = 14 * 1440
    told = [alert(60 * n, sequence=n, state="updated", onset=alert(10).time, excess_usd=n) for n in range(1, 330)]
    report(tmp_path, told, spend(bot=flat(minutes=fortnight) * (1 + (flat(minutes=fortnight).cumsum() % 7))))
    assert (tmp_path / "report.html").stat().st_size < 150_000


def test_a_decision_and_the_numbers_behind_the_sentence_are_told(tmp_path: Path) -> None:
    decision = Feedback(at(1590), "bw-0123456789abcdef", "intended", HOSTILE, why="a backfill")
    numbers = {"usd_per_hour": 60.0, "usual_usd_per_hour": 30.0, "error_share": 0.25, "usual_requests_per_hour": 1200.0}
    page = report(tmp_path, life(numbers=numbers, decision=decision))
    assert f"intended by {HOSTILE}" in page.text
    assert "a backfill" in page.text
    assert "Dollars per hour $60.00 $30.00" in page.text
    assert "Error share 25 % –" in page.text
    assert "Requests per hour – 1,200" in page.text
