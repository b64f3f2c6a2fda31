"""The rules and the dashboard that are shipped: their syntax, and that every figure they name is one we show."""

import json
import re
from pathlib import Path

import pytest
import yaml

from streams.metrics import Metrics
from tests.unit.promtool import promtool

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "burstwatch.json"
RULES = DEPLOY / "prometheus" / "burstwatch.rules.yml"


def expressions_of_the_dashboard() -> list[str]:
    told = json.loads(DASHBOARD.read_text())
    panels = [target["expr"] for panel in told["panels"] for target in panel.get("targets", [])]
    return panels + [note["expr"] for note in told["annotations"]["list"]]


def expressions_of_the_rules() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def shown() -> set[str]:
    """Names of all figures, those with labels too."""
    families = Metrics(version="1", runtime="embedded").expose()[0].decode()
    told = re.findall(r"^# TYPE (\S+) (\S+)$", families, re.MULTILINE)
    return {
        name + end for name, kind in told for end in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
    }


def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    assert promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml") == ""


@pytest.mark.parametrize("tests", ["burstwatch.rules.test.yml", "burstwatch.promise.test.yml"])
def test_the_rules_fire_when_they_should_and_not_before(tests: str) -> None:
    assert promtool("test", "rules", RULES.with_name(tests)) == ""


@pytest.mark.parametrize("expression", [*expressions_of_the_rules(), *expressions_of_the_dashboard()])
def test_every_figure_that_is_asked_for_is_shown(expression: str) -> None:
    asked = set(re.findall(r"\b(?:burstwatch|process)_\w+", re.sub(r'"[^"]*"', "", expression)))
    assert asked <= shown()


def test_every_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": expression.replace("$job", ".*")}
        for number, expression in enumerate(expressions_of_the_dashboard())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert promtool("check", "rules", tmp_path / "rules.yml") == ""


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
