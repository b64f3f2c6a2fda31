"""What is written for people is true: links lead somewhere, paths, commands and settings that are named exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from typer.main import get_command

from detectors.events import Alert, Cause, DeploymentEvent, Initiative, Intent, MonthEnd, PlannedBurst, UsageEvent
from detectors.intake.decode import REASONS
from detectors.kinds import KINDS
from streams.commands import app
from streams.configuration.files import BurstwatchYaml
from streams.configuration.settings import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/sample/README.md"]
PAGES += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("detectors", "streams", "config", "deploy", "tests", "docs", ".ci")

COMMAND = re.compile(r"burstwatch ((?:[a-z]+(?:-[a-z]+)*\b ?){0,2})([^`\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors_of(page: str) -> set[str]:
    """What headings of a page can be linked to as."""
    titles = re.findall(r"(?m)^#+ (.+)$", text_of(page))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page: str) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        target, _, anchor = link.partition("#")
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file = (ROOT / page).parent / target if target else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors_of(file.relative_to(ROOT).as_posix())):
            yield link


def named_paths(page: str) -> set[str]:
    """Return what stands between backticks and begins with a folder of the house; NAME stands for any name."""
    words = re.findall(r"`([^`\s]+)`", text_of(page))
    paths = {re.sub(r"[#:].*$", "", word) for word in words}
    return {path for path in paths if path.split("/")[0] in FOLDERS and "/" in path and "NAME" not in path}


def commands_of() -> dict[str, set[str]]:
    """Every command with the options that it takes."""
    group = get_command(app)
    found: dict[str, set[str]] = {}
    todo: list[tuple[str, Any]] = [("", group)]
    while todo:
        name, command = todo.pop()
        found[name] = {option for parameter in command.params for option in parameter.opts}
        todo += [(f"{name} {word}".strip(), child) for word, child in getattr(command, "commands", {}).items()]
    return found


def unknown_calls(text: str, commands: dict[str, set[str]]) -> Iterator[str]:
    """Return the calls of burstwatch in code that the command line does not know."""
    code = re.findall(r"(?s)```\w*\n(.*?)```", text) + re.findall(r"`([^`\n]+)`", re.sub(r"(?s)```.*?```", "", text))
    lines = (re.sub(r"(^|\s)#.*$", "", line) for piece in code for line in piece.replace("\\\n", "").splitlines())
    for words, rest in (match for line in lines for match in COMMAND.findall(line)):
        name = words.strip()
        while name and name not in commands:
            name = name.rpartition(" ")[0]
        if words.strip() and not name:
            yield f"burstwatch {words.strip()}"
        given = OPTION.findall(words + rest)
        yield from (f"burstwatch {name} {option}" for option in given if option not in commands[name])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert list(dead_links(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_are_named_exist(page: str) -> None:
    assert {path for path in named_paths(page) if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_that_are_named_exist(page: str) -> None:
    assert list(unknown_calls(text_of(page), commands_of())) == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    commands = commands_of()
    assert list(unknown_calls("`burstwatch wach --config x` and `burstwatch check --confg x`", commands)) == [
        "burstwatch wach",
        "burstwatch  --config",
        "burstwatch check --confg",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_that_are_named_exist(page: str) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", text_of("Makefile")))
    assert set(re.findall(r"[`\n]make ([a-z-]+)", text_of(page))) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_settings_and_detectors_that_are_named_exist(page: str) -> None:
    sections = set(BurstwatchYaml.__struct_fields__)
    for section, key in re.findall(r"`([a-z_]+)\.([a-z_]+)`", text_of(page)):
        if section in sections:
            kind = type(getattr(BurstwatchYaml(), section))
            assert key in kind.__struct_fields__, f"{page}: {section}.{key}"
    assert set(re.findall(r"kind: ([a-z_]+)", text_of(page))) <= set(KINDS)


def test_the_yaml_in_the_readme_is_a_configuration_without_mistakes(tmp_path: Path) -> None:
    pieces = re.findall(r"(?s)```yaml\n(.*?)```", text_of("README.md"))
    assert len(pieces) == 2
    (tmp_path / "burstwatch.yaml").touch()
    for piece in pieces:
        is_routes = "receivers" in yaml.safe_load(piece)
        (tmp_path / ("routes.yaml" if is_routes else "burstwatch.yaml")).write_text(piece, encoding="utf-8")
    settings = load(tmp_path)
    assert settings.warnings == ()
    assert "driver_step_pilot" in {detector.title for detector in settings.detectors}
    assert set(settings.routes.receivers) == {"slack-oncall", "pager"}


def test_the_event_in_the_readme_is_one() -> None:
    (event,) = re.findall(r"(?s)/v1/usage --data '(.*?})'", text_of("README.md"))
    read = msgspec.json.decode(re.sub(r"'\$\(date [^)]*\)'", "2026-11-24T09:00:00Z", event), type=UsageEvent)
    assert (read.service, read.requests) == ("support-bot", 42)


def formats(heading: str) -> set[str]:
    """Names between backticks in a chapter of the formats, lists within one pair taken apart."""
    chapter = text_of("docs/formats.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"[a-z_]+", " ".join(re.findall(r"(?s)`([^`]+)`", chapter))))


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [
        ("Usage event", [UsageEvent]),
        ("Deployment event", [DeploymentEvent]),
        ("Initiative", [Initiative, PlannedBurst]),
        ("Alert", [Alert, Cause, MonthEnd, Intent]),
    ],
)
def test_the_formats_name_every_field(heading: str, kinds: list[type[msgspec.Struct]]) -> None:
    fields = {field.encode_name for kind in kinds for field in msgspec.structs.fields(kind)}
    assert fields - formats(heading) == set()


def test_the_formats_name_every_reason_for_which_an_event_is_refused() -> None:
    chapter = text_of("docs/formats.md").split("\n## What is refused\n")[1].split("\n## ")[0]
    table = re.findall(r"(?m)^\| (`[^|]+) \|", chapter)
    assert set(re.findall("[a-z_]+", " ".join(table))) == {*REASONS, "empty"}, "and of requests, one without a body"


@pytest.mark.parametrize("house", ["detectors", "streams"])
def test_the_map_names_every_room(house: str) -> None:
    rooms = {f"{house}/{path.parent.name}/" for path in (ROOT / house).glob("*/__init__.py")}
    assert rooms
    assert rooms <= named_paths("docs/architecture.md")


def test_the_picture_of_the_architecture_names_what_exists() -> None:
    named = set(re.findall(r">((?:detectors|streams)/[a-z_./]*)", text_of("docs/images/architecture.svg")))
    assert len(named) > 5
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_pictures_are_small() -> None:
    assert all(path.stat().st_size < 200_000 for path in (ROOT / "docs/images").iterdir())
