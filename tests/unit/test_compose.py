"""``deploy/compose.yaml`` against the code: its commands, files, ports and names are ones that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from streams.commands import app
from streams.configuration.settings import Settings, load
from streams.embedded.runtime import OpenDoorError, check_door

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "burstwatch"]
INSIDE = "/etc/burstwatch"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The configuration as a container sees it: what is mounted later lies above what was mounted before."""
    for mount in SERVICES["burstwatch"]["volumes"]:
        outside, inside, _ = mount.split(":")
        place = tmp_path / inside.removeprefix(INSIDE).lstrip("/")
        source = DEPLOY / outside
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy(source, place)
    return load(tmp_path)


def is_understood(command: str) -> bool:
    """Whether the command line knows the words; it tells its help, which runs nothing."""
    return CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize("service", OURS)
def test_every_command_of_ours_is_one(service: str) -> None:
    assert is_understood(SERVICES[service]["command"])
    assert not is_understood(SERVICES[service]["command"].replace("--config", "--konfig"))


@pytest.mark.parametrize("service", SERVICES)
def test_every_file_that_is_mounted_is_there(service: str) -> None:
    for mount in SERVICES[service].get("volumes", []):
        outside = mount.split(":")[0]
        known = (DEPLOY / outside).exists() if outside.startswith(".") else outside in COMPOSE["volumes"]
        assert known, f"{service} mounts {outside}"


def test_the_image_is_built_from_files_that_are_there() -> None:
    build = SERVICES["burstwatch"]["build"]
    root = DEPLOY / build["context"]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (root / build["dockerfile"]).read_text(), re.MULTILINE)
    allowed = (root / f"{build['dockerfile']}.dockerignore").read_text().splitlines()
    for name in " ".join(copied).split():
        assert (root / name).exists(), name
        assert f"!{name}" in allowed, f"{name} does not reach the builder"


def test_what_the_image_runs_by_itself_is_reached_from_outside_and_wants_a_token(tmp_path: Path) -> None:
    edits = re.findall(r"^RUN sed --in-place '(.+)' (\S+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    shutil.copytree(DEPLOY.parent / "config", tmp_path / "config")
    for edit, file in edits:
        edited = tmp_path / "config" / Path(file).relative_to(INSIDE)
        subprocess.run(["sed", "--in-place", edit, edited], check=True)
    http = load(tmp_path / "config").http
    assert http.host == "0.0.0.0"
    with pytest.raises(OpenDoorError, match="put a token into"):
        check_door(http.host, None)


def test_the_worker_finds_kafka_and_topics_that_are_made_before_it_starts(settings: Settings) -> None:
    assert settings.kafka.brokers in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert SERVICES["topics"]["volumes"] == SERVICES["burstwatch"]["volumes"]
    assert SERVICES["burstwatch"]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_prometheus_finds_every_worker(settings: Settings) -> None:
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (discovered,) = scrape["dns_sd_configs"]
    assert discovered == {"names": ["burstwatch"], "type": "A", "port": settings.http.port}
    assert "burstwatch" in OURS
    assert settings.http.host == "0.0.0.0", "127.0.0.1 is the container itself"
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"EXPOSE {settings.http.port}" in dockerfile
    assert f"http://127.0.0.1:{settings.http.port}/healthz" in dockerfile


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    inside = [mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]]
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/burstwatch.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert provider["options"]["path"] in inside
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES


def test_every_secret_that_is_passed_on_is_one_that_the_routes_may_name() -> None:
    routes = (DEPLOY.parent / "config" / "routes.yaml").read_text()
    named = set(re.findall(r"_env: (\w+)", routes))
    assert set(SERVICES["burstwatch"]["environment"]) == named


def test_a_worker_is_given_the_time_that_a_clean_stop_may_take_and_started_again_after_it_gave_up() -> None:
    from streams.kafka.worker import STOP_SECONDS

    worker = SERVICES["burstwatch"]
    assert int(worker["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
    assert worker["restart"] == "unless-stopped"
