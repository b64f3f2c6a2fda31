"""A worker from outside: Kafka in, pages out, signals, figures, and how it ends."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import yaml

from streams.configuration.kafka_settings import KafkaSettings
from streams.kafka.client import new_producer
from tests.contracts.pagerduty_server import PagerDutyServer
from tests.contracts.slack_server import SlackServer
from tests.kafka.reading import read, read_topic, wait_for
from tests.kafka.running import Sample, Worker, burstwatch, config_for, write_config
from tests.unit.promtool import promtool

Run = Callable[..., Worker]

DONE_SECONDS = 150


def route_to(config: Path, slack: SlackServer, pagerduty: PagerDutyServer) -> dict[str, str]:
    """Send every alert to both; return the environment with their secrets."""
    bot = {"type": "slack", "token_env": "BOT", "channel": slack.channel, "api_url": slack.api_url}
    pager = {"type": "pagerduty", "routing_key_env": "KEY", "url": pagerduty.url}
    routes = {
        "receivers": {"slack": bot, "pager": pager},
        "default": ["slack", "pager"],
        "digest": {"after_minutes": None},
    }
    (config / "routes.yaml").write_text(yaml.safe_dump(routes))
    return {"BOT": slack.token, "KEY": pagerduty.routing_key, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


async def test_a_page_goes_out_with_its_deployment_and_is_resolved_after_a_restart(
    kafka: KafkaSettings, tmp_path: Path, sample: Sample, run: Run
) -> None:
    kafka = msgspec.structs.replace(kafka, usage_partitions=1)
    config = config_for(tmp_path / "config", kafka, idle_seconds=60.0)
    before, after = sample.halves()
    async with SlackServer() as slack, PagerDutyServer() as pagerduty:
        secrets = route_to(config, slack, pagerduty)

        async def wait(condition: Callable[[], bool], what: str) -> None:
            await asyncio.to_thread(wait_for, condition, what, DONE_SECONDS)

        async def publish(topic: str, file: Path) -> None:
            await asyncio.to_thread(burstwatch, "publish", file, "--topic", topic, "--config", config)

        await publish("deployments", sample.deployments)
        await publish("feedback", sample.feedback)
        first = run(Worker(config, "first"), **secrets)
        await publish("usage", before)
        await wait(lambda: has_paged(pagerduty), "the page")
        await asyncio.to_thread(first.stop)
        assert [incident.status for incident in pagerduty.incidents] == ["triggered"]

        await publish("usage", after)
        second = run(Worker(config, "second"), **secrets)
        await wait(lambda: len(read(kafka, "alerts")) == len(sample.alerts), "all alerts")
        await wait(lambda: len(slack.threads) == len(pagerduty.incidents) == len(sample.incidents), "all deliveries")
        await wait(lambda: "Resolved" in slack.threads[0].shown(), "the end of the incident in Slack")
        await wait(lambda: pagerduty.incidents[0].status == "resolved", "the end of the incident at the pager")
        await asyncio.to_thread(second.stop)

    assert [record.value for record in await read_topic(kafka, "alerts")] == sample.alerts
    paged = pagerduty.incidents[0]
    assert (paged.status, paged.triggers) == ("resolved", 1), "once, although two workers had it in hand"
    assert {"dep-0192", "gus", "hana"} <= set(re.findall(r"[\w-]+", paged.payload["custom_details"]["Deployment"]))
    message = slack.threads[0]
    assert paged.dedup_key in message.shown()
    assert "dep-0192" in message.shown()
    assert message.edits > 0
    assert pagerduty.refused == []


def has_paged(pagerduty: PagerDutyServer) -> bool:
    return any(incident.payload["severity"] == "critical" for incident in pagerduty.incidents)


def test_bad_events_are_kept_with_reason_and_bytes_and_the_figures_please_prometheus(
    kafka: KafkaSettings, tmp_path: Path, sample: Sample, run: Run
) -> None:
    config = config_for(tmp_path / "config", kafka)
    good = sample.usage.read_bytes().splitlines()[0]
    negative = good.replace(b'"requests":', b'"requests":-')
    bad = [b'{"id": "x', negative, b"\xff\xfe not even text", b"x" * 900_000]

    async def produce() -> None:
        async with new_producer(kafka) as producer:
            for payload in [*bad, good]:
                await producer.send_and_wait(kafka.topic("usage"), payload, partition=0)
            await producer.send_and_wait(kafka.topic("deployments"), b"[1]", partition=0)

    asyncio.run(produce())
    worker = run(Worker(config)).wait_until_ready()
    taken, refused = 'burstwatch_events_taken_total{kind="usage"}', "burstwatch_events_rejected_total"

    def counted() -> bool:
        figures = worker.figures()
        return figures.get(taken) == 1 and sum(v for k, v in figures.items() if k.startswith(refused)) == len(bad) + 1

    wait_for(counted, "all to be counted")
    kept = read(kafka, "rejected")
    reasons = {record.value: dict(record.headers) for record in kept}
    assert [record.value for record in kept if dict(record.headers)["kind"] == b"usage"] == bad
    assert reasons[bad[0]]["reason"] == b"not_json"
    assert reasons[negative]["reason"] == b"out_of_range"
    assert b"requests" in reasons[negative]["detail"]
    assert (reasons[negative]["partition"], reasons[negative]["offset"]) == (b"0", b"1")
    assert reasons[b"1"]["kind"] == b"deployments"
    assert promtool("check", "metrics", given=worker.get("/metrics")) == ""
    assert worker.get("/healthz") == b"ok\n"
    worker.stop()


def test_topics_that_are_missing_are_named_with_the_cure(kafka: KafkaSettings, tmp_path: Path, run: Run) -> None:
    kafka_yaml = {"brokers": kafka.brokers, "topic_prefix": kafka.topic_prefix}
    worker = run(Worker(write_config(tmp_path / "config", kafka_yaml)))

    assert worker.wait() == 1
    told = worker.log.splitlines()[-1]
    assert told.startswith(f"burstwatch: topic {kafka.topic('usage')}, ")
    assert told.endswith("run: burstwatch topics create")


def test_where_no_kafka_is_one_sentence_says_so(tmp_path: Path, run: Run) -> None:
    kafka_yaml = {"brokers": "127.0.0.1:1", "request_timeout_seconds": 1.0}
    worker = run(Worker(write_config(tmp_path / "config", kafka_yaml)))

    assert worker.wait() == 1
    assert "is Kafka at 127.0.0.1:1? Start it, or set kafka.brokers" in worker.log
    assert "Traceback" not in worker.log


def test_a_port_that_is_taken_is_one_sentence(kafka: KafkaSettings, tmp_path: Path, run: Run) -> None:
    worker = Worker(config_for(tmp_path / "config", kafka))
    with socket.create_server(("127.0.0.1", worker.port)):
        run(worker)
        assert worker.wait() == 1
    assert "stop what listens there, or set http.port" in worker.log.splitlines()[-1]


def test_other_routes_take_effect_at_once_and_the_rest_waits_for_a_restart(
    kafka: KafkaSettings, tmp_path: Path, run: Run
) -> None:
    config = config_for(tmp_path / "config", kafka)
    worker = run(Worker(config)).wait_until_ready()
    in_use = "burstwatch_config_last_reload_successful"
    assert worker.figures()[in_use] == 1

    def reload(file: str, text: str) -> None:
        (config / file).write_text(text)
        worker.send(signal.SIGHUP)

    reload("routes.yaml", "receivers: {pager: {type: pagerduty, routing_key_env: NOT_SET}}\ndefault: [pager]\n")
    wait_for(lambda: worker.figures()[in_use] == 0, "the refusal")
    assert "NOT_SET" in worker.log
    reload("routes.yaml", "receivers: {screen: {type: console}}\ndefault: [screen]\n")
    wait_for(lambda: worker.figures()[in_use] == 1, "the reload")
    tuned = (config / "burstwatch.yaml").read_text() + "page_budget: {pages: 9}\n"
    reload("burstwatch.yaml", tuned)
    wait_for(lambda: worker.figures()[in_use] == 0, "the word that a restart is due")
    assert '"changed": ["page_budget"]' in worker.log
    promised = "routes: [{receivers: [screen], name: all, page_budget: {pages: 1}}]"
    reload("routes.yaml", f"receivers: {{screen: {{type: console}}}}\n{promised}\ndefault: [screen]\n")
    wait_for(lambda: "the page budgets of routes" in worker.log, "the word that those wait, too")
    worker.stop()
    worker = run(Worker(config, "again")).wait_until_ready()
    assert worker.figures()["burstwatch_page_rate_promised"] == 9
    worker.stop()
