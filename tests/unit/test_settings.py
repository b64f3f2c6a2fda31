"""Settings: defaults, the shipped files, and where a configuration is looked for."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detectors.events import PlannedBurst
from detectors.kinds import KINDS
from detectors.kinds.driver_step import DriverStep
from streams.configuration.files import BurstwatchYaml, InitiativesYaml
from streams.configuration.settings import REGISTRY, ConfigError, Settings, default_folder, find_folder, load
from streams.configuration.yaml_check import Checker

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config"


def uncommented(text: str, sign: str = "#") -> str:
    """Return a file with its commented settings in force."""
    return re.sub(rf"^(\s*){sign}(?=[a-z])", r"\1", text, flags=re.MULTILINE)


def loaded(folder: Path, **files: str) -> Settings:
    for name, text in {"burstwatch": "", **files}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load(folder)


def burstwatch_part(settings: Settings) -> BurstwatchYaml:
    return BurstwatchYaml(**{name: getattr(settings, name) for name in BurstwatchYaml.__struct_fields__})


def test_an_empty_file_means_all_defaults(tmp_path: Path) -> None:
    assert burstwatch_part(loaded(tmp_path)) == BurstwatchYaml()


def test_the_shipped_file_changes_no_default() -> None:
    assert burstwatch_part(load(SHIPPED)) == BurstwatchYaml()


def test_every_setting_shown_in_a_comment_of_the_shipped_file_is_the_default(tmp_path: Path) -> None:
    text = uncommented((SHIPPED / "burstwatch.yaml").read_text(encoding="utf-8"))
    assert burstwatch_part(loaded(tmp_path, burstwatch=text)) == BurstwatchYaml()


def test_the_shipped_file_shows_every_setting() -> None:
    checker = Checker("burstwatch.yaml", REGISTRY)
    checker.read(uncommented((SHIPPED / "burstwatch.yaml").read_text(encoding="utf-8")).encode(), BurstwatchYaml)

    def missing(value: object, path: str) -> list[str]:
        names = [n for n in getattr(value, "__struct_fields__", ()) if n != "name"]
        paths = {f"{path}.{name}" if path else name: getattr(value, name) for name in names}
        return [p for p in paths if not checker.has(p)] + [m for p, v in paths.items() for m in missing(v, p)]

    assert missing(BurstwatchYaml(), "") == []
    for place, kind in enumerate(KINDS.values()):
        assert missing(kind(), f"detectors[{place}]") == []


def test_the_example_in_the_shipped_initiatives_is_a_good_one() -> None:
    text = (SHIPPED / "initiatives.yaml").read_text(encoding="utf-8")
    example = "\n".join(line[2:] for line in text.splitlines() if re.match(r"#  |# initiatives:", line))
    checker = Checker("initiatives.yaml")
    read = checker.read(example.encode(), InitiativesYaml)
    assert checker.mistakes == []
    assert read is not None
    assert read.initiatives[0].planned[0].reason == "Black Friday"


def test_detectors_are_decoded_into_their_own_kinds(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, burstwatch="detectors:\n- kind: unit_price\n- {kind: driver_step, name: pilot, within_minutes: 5}"
    )
    assert settings.detectors == (KINDS["unit_price"](), DriverStep(name="pilot", within_minutes=5))


@pytest.mark.parametrize("stamp", ["2026-11-27T01:00:00+01:00", "'2026-11-27T00:00:00Z'", "2026-11-27 00:00:00Z"])
def test_times_may_be_text_or_timestamps_in_any_zone(tmp_path: Path, stamp: str) -> None:
    text = (
        "initiatives:\n- {id: a, team: t, owner: o, approver: p, intent: production, stage: exploit, outcome: x,\n"
        f"   match: {{team: t}}, planned: [{{from: {stamp}, to: 2026-11-28T00:00:00Z, up_to_usd_per_hour: 9,"
        " approved_by: p}]}"
    )
    burst = PlannedBurst(datetime(2026, 11, 27, tzinfo=UTC), datetime(2026, 11, 28, tzinfo=UTC), 9.0, "p")
    assert loaded(tmp_path, initiatives=text).initiatives[0].planned == (burst,)


def test_words_that_older_yaml_took_for_booleans_and_numbers_are_what_they_look_like(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, burstwatch="organisation: no\nidle_seconds: 1e3\nintake: {max_message_bytes: 2_000_000}"
    )
    assert (settings.organisation, settings.idle_seconds) == ("no", 1000.0)
    assert settings.intake.max_message_bytes == 2_000_000


def test_a_given_file_of_initiatives_takes_the_place_of_the_folders(tmp_path: Path) -> None:
    other = tmp_path / "others.yaml"
    other.write_text("initiatives: []", encoding="utf-8")
    (tmp_path / "initiatives.yaml").write_text("nonsense", encoding="utf-8")
    (tmp_path / "burstwatch.yaml").write_text("", encoding="utf-8")
    assert load(tmp_path, initiatives=other).initiatives == ()
    with pytest.raises(ConfigError, match=r"gone.yaml:1: no such file"):
        load(tmp_path, initiatives=tmp_path / "gone.yaml")


def test_a_folder_is_the_given_one_else_config_here_else_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_folder(Path("given")) == Path("given")
    assert find_folder(None) == default_folder()
    shutil.copytree(SHIPPED, tmp_path / "config")
    assert find_folder(None) == Path("config")


def test_what_is_shipped_has_no_mistake_and_no_warning() -> None:
    assert load(default_folder(), now=datetime(2026, 11, 24, tzinfo=UTC)).warnings == ()
