"""``burstwatch check``: every mistake at once, each with its line, its path and the nearest known key."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from streams.commands import app
from streams.configuration.files import BurstwatchYaml, InitiativesYaml, PricesYaml
from streams.configuration.mistakes import Mistake
from streams.configuration.settings import REGISTRY, ConfigError, load
from streams.configuration.yaml_check import Checker
from streams.delivery.routes import Routes

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path("tests/goldens/check")
NOW = datetime(2026, 11, 24, tzinfo=UTC)

INITIATIVE = """\
initiatives:
  - id: search
    team: search
    owner: ada
    approver: grace
    intent: production
    stage: exploit
    outcome: answers
    monthly_budget_usd: 100
    match: {service: search}
    starts: 2026-10-01T00:00:00Z
    expires: 2027-10-01T00:00:00Z
    planned:
      - from: 2026-11-27T00:00:00Z
        to: 2026-11-28T00:00:00Z
        up_to_usd_per_hour: 120
        approved_by: grace
        reason: sale
"""
ROUTES = """\
receivers:
  terminal: {type: console}
  pager:
    type: pagerduty
    routing_key_env: PAGER_KEY
    severities: {page: critical}
routes:
  - match: {severity: page, team: [search, ads-*]}
    receivers: [pager]
    continue: true
    name: search
    page_budget: {pages: 1, per: week}
default: [terminal]
"""
PRICE = """\
prices:
  - model: house-7b
    provider: self-hosted
    from: 2026-10-01
    usd_per_million:
      input: 1
      cached_input: 0.1
      cache_write: 1.25
      output: 2
    usd_per_gpu_hour: 3
"""


def mistakes_in(folder: Path, **files: str) -> list[Mistake]:
    """Mistakes of a folder with these files, named without their ending."""
    for name, text in {"burstwatch": "", **files}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    try:
        return list(load(folder, now=NOW).warnings)
    except ConfigError as error:
        return error.mistakes


def shipped_with_every_setting() -> str:
    """Return the shipped burstwatch.yaml with every commented setting in force."""
    text = (ROOT / "config/burstwatch.yaml").read_text(encoding="utf-8")
    return re.sub(r"^(\s*)#(?=[a-z])", r"\1", text, flags=re.MULTILINE)


def test_a_folder_with_one_of_each_mistake_reads_as_the_golden_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, ["check", "--config", str(GOLDEN)])
    assert result.stdout == (ROOT / GOLDEN / "expected.txt").read_text(encoding="utf-8")
    assert result.exit_code == 1


def test_a_good_folder_is_summed_up_and_exits_with_0(tmp_path: Path) -> None:
    mistakes_in(tmp_path, burstwatch="organisation: acme\npage_budget: {pages: 2, per: day}", initiatives=INITIATIVE)
    result = CliRunner().invoke(app, ["check", "--config", str(tmp_path)])
    assert result.exit_code == 0
    assert "acme, 2 pages a day" in result.stdout
    assert re.search(r"initiatives +1\n", result.stdout)


def test_a_warning_is_printed_and_exits_with_0(tmp_path: Path) -> None:
    mistakes_in(
        tmp_path, initiatives=INITIATIVE.replace("2027-10-01", "2020-10-01").replace("2026-10-01", "2019-10-01")
    )
    result = CliRunner().invoke(app, ["check", "--config", str(tmp_path)])
    assert result.exit_code == 0
    assert "initiatives.yaml:12: warning: initiatives[0].expires: expired on 2020-10-01" in result.stdout


def test_help_does_not_load_what_commands_need() -> None:
    heavy = {"numpy", "sklearn", "faust", "aiokafka", "aiohttp", "genai_prices", "yaml"}
    script = (
        "import sys\nfrom streams.commands import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        f"print('HEAVY', sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("HEAVY []\n")


MISTAKES = [
    # what stands in the file, its line, path and message
    ("burstwatch", "links:\n  wiki: wiki.example", 2, "links.wiki", "begin it with https://"),
    (
        "burstwatch",
        "links: {a: 'https://a.example/?s={servise}'}",
        1,
        "links.a",
        "asks for {servise}, which no alert has",
    ),
    ("burstwatch", "links: {a: 'https://{service}.example/'}", 1, "links.a", "and the name of a server"),
    ("burstwatch", "links: {a: 'https://a.example/{service'}", 1, "links.a", "a brace without its pair"),
    ("burstwatch", "links: {a: 'javascript:alert(1)'}", 1, "links.a", "is no address of the web"),
    ("burstwatch", "links: {a: 'https://a.example/b c'}", 1, "links.a", "has a character that no address has"),
    ("burstwatch", "organisatoin: a", 1, "organisatoin", "unknown key, did you mean organisation?"),
    ("burstwatch", "\nshards: 4", 2, "shards", "unknown key, it belongs in intake."),
    ("burstwatch", "zzz: 4", 1, "zzz", "unknown key. Known here: organisation, intake"),
    ("burstwatch", "intake:\n  shards: 0", 2, "intake.shards", "expected a whole number from 1 to 1024, found 0"),
    ("burstwatch", "intake: {shards: 4.5}", 1, "intake.shards", "expected a whole number from 1 to 1024, found 4.5"),
    ("burstwatch", "intake: {shards: '4'}", 1, "intake.shards", "found the text '4'"),
    ("burstwatch", "intake: {shards: true}", 1, "intake.shards", "found true"),
    ("burstwatch", "intake: 4", 1, "intake", "expected a mapping, found 4"),
    ("burstwatch", "idle_seconds: .inf", 1, "idle_seconds", "found the text '.inf'"),
    ("burstwatch", "idle_seconds: [1]", 1, "idle_seconds", "found a list"),
    ("burstwatch", "organisation: 7", 1, "organisation", "found 7: put it in quotes"),
    ("burstwatch", "organisation:", 1, "organisation", "found nothing"),
    ("burstwatch", "a: 1\norganisation: x\norganisation: y", 3, "organisation", "key given twice, first on line 2"),
    ("burstwatch", "views: [[service], [servce]]", 1, "views[1][0]", "did you mean service?"),
    ("burstwatch", "views:\n- [model]\n- [team, team]", 3, "views[1]", "team given twice in one view"),
    ("burstwatch", "views:\n- [team, model]\n- [model, team]", 3, "views[1]", "view given twice, first on line 2"),
    ("burstwatch", "views: []", 1, "views", "expected a list of one or more entries"),
    ("burstwatch", "detectors: []", 1, "detectors", "expected a list of one or more entries"),
    ("burstwatch", "detectors:\n- kind: unit_prise", 2, "detectors[0].kind", "did you mean unit_price?"),
    ("burstwatch", "detectors:\n- threshold: 3", 2, "detectors[0]", "missing key kind"),
    ("burstwatch", "detectors:\n- kind: unit_price\n  window: 3", 3, "detectors[0].window", "unknown key"),
    (
        "burstwatch",
        "detectors:\n- kind: unit_price\n- kind: unit_price",
        3,
        "detectors[1]",
        "given twice, first on line 2",
    ),
    ("burstwatch", "page_budget: {pages: 0}", 1, "page_budget.pages", "expected a number above 0, found 0"),
    (
        "burstwatch",
        "http: {token_env: my secret}",
        1,
        "http.token_env",
        "expected the name of an environment variable, found what is not shown",
    ),
    ("burstwatch", "organisation: &a [*a]", 1, "organisation", "found a list"),
    ("burstwatch", "http: {\n  port: 1", 2, "", "is no YAML"),
    ("burstwatch", "http:\n\tport: 1", 2, "", "is indented with a tab: use spaces"),
    ("burstwatch", "a: 1\n---\nb: 2", 2, "", "expected a single document"),
    ("burstwatch", "- a\n- b", 1, "", "expected a mapping, found a list"),
    ("routes", "receivers: {a: {type: slak}}\ndefault: [a]", 1, "receivers.a.type", "did you mean slack?"),
    (
        "routes",
        "receivers: {a: console}\ndefault: [a]",
        1,
        "receivers.a",
        "expected a mapping, found the text 'console'",
    ),
    (
        "routes",
        ROUTES.replace("[pager]", "[pagr]"),
        9,
        "routes[0].receivers[0]",
        "no receiver pagr, did you mean pager?",
    ),
    (
        "routes",
        ROUTES.replace("[terminal]", "[t, pager]"),
        13,
        "default[0]",
        "no receiver t. Declared: terminal, pager",
    ),
    ("routes", ROUTES.replace("[terminal]", "[]"), 13, "default", "is empty: what no route takes is told to nobody"),
    ("routes", ROUTES.replace("[terminal]", "[pager]"), 2, "receivers.terminal", "is named by no route"),
    ("routes", "receivers: {}\ndefault: []", 1, "receivers", "has no receiver, so that nobody would be told"),
    (
        "routes",
        ROUTES.replace("{pages: 1, per", "{pages: 0, pr"),
        12,
        "routes[0].page_budget.pages",
        "expected a number above 0, found 0",
    ),
    (
        "routes",
        ROUTES.replace("{pages: 1, per", "{pages: 1, pr"),
        12,
        "routes[0].page_budget.pr",
        "did you mean per?",
    ),
    ("routes", ROUTES.replace("    name: search\n", ""), 8, "routes[0]", "page_budget needs a name beside it"),
    (
        "routes",
        ROUTES.replace("default", "  - {name: search, receivers: [pager]}\ndefault"),
        13,
        "routes[1].name",
        "route search given twice, first on line 11",
    ),
    (
        "routes",
        ROUTES.replace("pages: 1", "pages: 4"),
        12,
        "routes[0].page_budget",
        "is above what the organisation gets (3 a week): it holds nothing back",
    ),
    (
        "routes",
        ROUTES.replace("severity: page", "severity: [ticket, info]"),
        12,
        "routes[0].page_budget",
        "holds nothing back: the route's match takes no page",
    ),
    (
        "routes",
        ROUTES.replace("PAGER_KEY", "-----KEY"),
        5,
        "receivers.pager.routing_key_env",
        "found what is not shown",
    ),
    (
        "initiatives",
        INITIATIVE.replace("    owner: ada\n", ""),
        2,
        "initiatives[0]",
        "missing key owner: expected text",
    ),
    ("initiatives", INITIATIVE.replace("production", "prod"), 6, "initiatives[0].intent", "did you mean production?"),
    (
        "initiatives",
        INITIATIVE.replace("{service", "{servise"),
        10,
        "initiatives[0].match.servise",
        "did you mean service?",
    ),
    ("initiatives", INITIATIVE.replace("{service: search}", "{}"), 10, "initiatives[0].match", "is empty"),
    (
        "initiatives",
        INITIATIVE.replace("2026-10-01T00:00:00Z", "2026-10-01"),
        11,
        "initiatives[0].starts",
        "with its zone",
    ),
    ("initiatives", INITIATIVE.replace("2027", "2025"), 12, "initiatives[0].expires", "expected a time after starts"),
    (
        "initiatives",
        INITIATIVE.replace("11-28", "11-26"),
        15,
        "initiatives[0].planned[0].to",
        "expected a time after from",
    ),
    ("initiatives", INITIATIVE + INITIATIVE[13:], 19, "initiatives[1].id", "search given twice, first on line 2"),
    ("prices", PRICE.replace("output: 2", "output: -2"), 9, "prices[0].usd_per_million.output", "found -2"),
    ("prices", PRICE.replace("2026-10-01", "October"), 4, "prices[0].from", "expected a date such as 2026-10-01"),
    ("prices", "prices:\n- model: x", 2, "prices[0]", "prices nothing: give usd_per_million"),
    ("prices", PRICE + PRICE[8:].replace("house", "HOUSE"), 11, "prices[1]", "price given twice, first on line 2"),
]


@pytest.mark.parametrize(("file", "text", "line", "path", "message"), MISTAKES, ids=[m[4] + m[3] for m in MISTAKES])
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, file: str, text: str, line: int, path: str, message: str
) -> None:
    found = mistakes_in(tmp_path, **{file: text})
    places = [(m.file, m.line, m.path) for m in found if message in m.message]
    assert (f"{tmp_path}/{file}.yaml", line, path) in places, "\n".join(map(str, found))


@pytest.mark.parametrize(
    "files", [{"burstwatch": ""}, {"routes": ROUTES}, {"initiatives": INITIATIVE}, {"prices": PRICE}], ids=str
)
def test_good_files_have_no_mistake(tmp_path: Path, files: dict[str, str]) -> None:
    assert mistakes_in(tmp_path, **files) == []


def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "burstwatch.yaml").write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match=r"burstwatch.yaml:2: is not UTF-8"):
        load(tmp_path)


def test_a_folder_without_burstwatch_yaml_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"burstwatch.yaml:1: no such file: create it"):
        load(tmp_path)


FILES: dict[type[msgspec.Struct], str] = {
    BurstwatchYaml: shipped_with_every_setting(),
    InitiativesYaml: INITIATIVE,
    PricesYaml: PRICE,
    Routes: ROUTES,
}
KEYS = [
    (kind, match.start(1), match[1])
    for kind, text in FILES.items()
    for match in re.finditer(r"^ *(?:- )?([a-z_]+):", text, flags=re.MULTILINE)
    if match[1] not in ("terminal", "pager")  # names of receivers, free to choose
]
LETTERS = "abcdefghijklmnopqrstuvwxyz_"


def one_edit_away(word: str) -> set[str]:
    """Return all words that one slip of a finger makes of a word."""
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    dropped = {a + b[1:] for a, b in cuts if b}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    changed = {a + c + b[1:] for a, b in cuts if b for c in LETTERS}
    added = {a + c + b for a, b in cuts for c in LETTERS}
    return (dropped | swapped | changed | added) - {word, ""}


@settings(deadline=None)
@given(key=st.sampled_from(KEYS), seed=st.integers(0, 2**32))
def test_any_slip_in_any_key_is_found_on_its_line_and_the_nearest_key_is_named(
    key: tuple[type[msgspec.Struct], int, str], seed: int
) -> None:
    kind, at, word = key
    slip = random.Random(seed).choice(sorted(one_edit_away(word)))
    text = FILES[kind][:at] + slip + FILES[kind][at + len(word) :]
    line = FILES[kind].count("\n", 0, at) + 1
    checker = Checker("f.yaml", REGISTRY)
    checker.read(text.encode(), kind)
    found = [m for m in checker.mistakes if m.line == line and slip in (m.found, m.path.rpartition(".")[2])]
    assert found, "\n".join(map(str, checker.mistakes))
    assert word in found[0].message
    if len(word) > 3:  # of a word as short as `to`, one slip leaves too little to know it by
        assert found[0].nearest == word or slip in one_edit_away(found[0].nearest)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("[]{}:,-&*!|>'\"%@`#? \n\tabc019.~", max_size=60).map(str.encode)))
def test_whatever_the_bytes_a_file_is_read_or_has_mistakes(text: bytes) -> None:
    for kind in FILES:
        checker = Checker("f.yaml", REGISTRY)
        assert (checker.read(text, kind) is None) == bool(checker.mistakes)


PLACES = [
    (kind, match.start(1), match[1])
    for kind, text in FILES.items()
    for match in re.finditer(r"^ *(?:- )?[a-z_]+: (?! )(.+)$", text, flags=re.MULTILINE)
]


@settings(deadline=None)
@given(
    place=st.sampled_from(PLACES),
    value=st.sampled_from(
        ["", "~", "-1", "x", "[]", "{}", "[x]", "{x: 1}", "1e9", "true", "2026-10-01", "[[[]]]", "!!set {}"]
    ),
)
def test_whatever_the_value_a_file_is_read_or_the_mistake_is_on_a_line_that_exists(
    place: tuple[type[msgspec.Struct], int, str], value: str
) -> None:
    kind, at, word = place
    text = FILES[kind][:at] + value + FILES[kind][at + len(word) :]
    checker = Checker("f.yaml", REGISTRY)
    assert (checker.read(text.encode(), kind) is None) == bool(checker.mistakes)
    assert all(1 <= mistake.line <= text.count("\n") + 1 for mistake in checker.mistakes)
