"""The rules and the dashboard that are shipped: their syntax, and that every figure they name is one we show."""

import json
import re
from collections.abc import Callable
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


def series_of(before: Metrics, after: Metrics) -> list[dict[str, str]]:
    """What Prometheus has of a process that showed one thing for ten minutes and another for ten more."""
    was = before.values()
    return [
        {
            "series": f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in (*labels, ('job', 'burstwatch')))}}}",
            "values": f"{was.get((name, labels), '_')}x10 {now}x10",
        }
        for (name, labels), now in after.values().items()
        if name.startswith("burstwatch_")
    ]


@pytest.mark.parametrize(
    ("rule", "happens"),
    [
        ("BurstwatchDeadLetters", lambda metrics: metrics.delivery("slack", "dead_letter")),
        ("BurstwatchEventBreaksStage", lambda metrics: metrics.rejected("poisonous")),
    ],
)
def test_the_first_of_its_kind_is_noticed(tmp_path: Path, rule: str, happens: Callable[[Metrics], None]) -> None:
    before, after = (Metrics(version="1", runtime="worker") for _ in range(2))
    for metrics in (before, after):
        metrics.receivers(["slack"])
    happens(after)
    fires = {"expr": f'count(ALERTS{{alertname="{rule}"}})', "exp_samples": [{"labels": "{}", "value": 1}]}
    told = [{"eval_time": "9m", **fires, "exp_samples": []}, {"eval_time": "15m", **fires}]
    test = {"interval": "1m", "input_series": series_of(before, after), "promql_expr_test": told}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}))
    assert promtool("test", "rules", tmp_path / "test.yml") == ""


def test_of_workers_only_one_of_which_holds_the_incidents_the_promise_is_watched_once(tmp_path: Path) -> None:
    given = [
        {"series": f'burstwatch_page_rate_{name}{{job="burstwatch", instance="{instance}"}}', "values": f"{value}x130"}
        for instance, realised in (("a", 7), ("b", 0))
        for name, value in (("promised", 3), ("realised", realised))
    ]
    labels = '{job="burstwatch", severity="ticket", alertname="BurstwatchPageBudgetOverspent", alertstate="firing"}'
    fires = {"expr": 'ALERTS{alertstate="firing"}', "eval_time": "100m"}
    test = {
        "interval": "1m",
        "input_series": given,
        "promql_expr_test": [{**fires, "exp_samples": [{"labels": f"ALERTS{labels}", "value": 1}]}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}))
    assert promtool("test", "rules", tmp_path / "test.yml") == ""


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
