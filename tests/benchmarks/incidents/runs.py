"""The product over a world: `burstwatch replay` with the shipped configuration, as a child, measured."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.benchmarks.child import Usage, measure
from tests.benchmarks.incidents.worlds import burstbench
from tests.benchmarks.places import CACHE, ROOT

SHIPPED = ROOT / "config"
_TEST_WEEK_FROM = "2026-10-08"
"""The first day on which pages count; the week before is for learning."""


class Variant(NamedTuple):
    """A configuration: the shipped one, but for the page budget and the detectors taken out."""

    pages: float
    without: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name that can be a folder's."""
        return "-".join([f"budget_{self.pages:g}", *(f"without_{kind}" for kind in self.without)])

    def folder(self) -> Path:
        """Write the configuration; return its folder."""
        folder = CACHE / "incidents" / self.name / "config"
        shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
        content = yaml.safe_load((SHIPPED / "burstwatch.yaml").read_text())
        kinds = [detector["kind"] for detector in content["detectors"]]
        if unknown := set(self.without) - set(kinds):
            raise SystemExit(
                f"the shipped configuration has no {', '.join(sorted(unknown))}; it has {', '.join(kinds)}"
            )
        content["detectors"] = [d for d in content["detectors"] if d["kind"] not in self.without]
        content["page_budget"] = {**content.get("page_budget", {}), "pages": self.pages, "per": "week"}
        (folder / "burstwatch.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return folder


class Run(NamedTuple):
    """One world through one variant, once with its incidents and once without."""

    world: Path
    alerts: Path
    clean_alerts: Path
    usage: tuple[Usage, Usage]


def run(variant: Variant, world: Path) -> Run:
    """Replay a world and its clean draw."""
    folder, config = CACHE / "incidents" / variant.name / world.name, variant.folder()
    folder.mkdir(parents=True, exist_ok=True)
    used = []
    for part in ("", "clean"):
        alerts = folder / f"{part or 'dirty'}.ndjson"
        words: list[str | Path] = [
            "replay",
            world / part / "usage.ndjson.gz",
            "--deployments",
            world / "deployments.ndjson",
        ]
        words += ["--initiatives", world / "initiatives.yaml", "--config", config, "--alerts", alerts]
        replay: list[str | Path] = [sys.executable, "-c", "from streams.commands import main; main()", *words]
        used.append(measure(replay, folder / "log.txt", {"PYTHONPATH": str(ROOT)}))
    return Run(world, folder / "dirty.ndjson", folder / "clean.ndjson", (used[0], used[1]))


def scored(runs: list[Run]) -> dict[str, Any]:
    """Return burstbench's judgement of some worlds' runs: a summary, and each world with its incidents."""
    words: list[str | Path] = ["score", "--world", *(run.world for run in runs)]
    words += ["--alerts", *(run.alerts for run in runs), "--clean-alerts", *(run.clean_alerts for run in runs)]
    result: dict[str, Any] = json.loads(burstbench(*words))
    return result


def clean_pages_by_detector(runs: list[Run]) -> Counter[str]:
    """Count the pages where nothing was wrong, by the detector that spoke."""
    pages: dict[tuple[str, str], str] = {}
    for run_ in runs:
        for alert in map(json.loads, run_.clean_alerts.read_bytes().splitlines()):
            if (alert["state"], alert["severity"]) == ("firing", "page") and alert["time"] >= _TEST_WEEK_FROM:
                pages.setdefault((run_.world.name, alert["alert_id"]), alert["detector"])
    return Counter(pages.values())
