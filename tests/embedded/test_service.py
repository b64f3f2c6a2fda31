"""The embedded service from outside: HTTP, signals, files."""

import json
import signal
import subprocess
import time
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.embedded.running import Service, wait_until
from tests.unit.promtool import promtool

Client = aiohttp.ClientSession


def event(number: int, **fields: object) -> dict[str, object]:
    given = {"id": f"e{number}", "time": now_stamp(), "source": "gateway", "service": "bot", "team": "core"}
    return {**given, "model": "gpt-4o", "requests": 1, "cost_usd": 0.25, **fields}


def now_stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00Z")


async def scrape(service: Service, client: Client) -> dict[str, float]:
    text = await (await client.get(f"{service.url}/metrics")).text()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}


async def test_what_is_acknowledged_is_counted(service: Service, client: Client) -> None:
    service.start()
    answer = await client.post(f"{service.url}/v1/usage", json=[event(1), event(2), event(2)])
    assert (answer.status, await answer.json()) == (202, {"accepted": 3, "rejected": []})
    wait_until(service.has_counted_everything, "the checkpoint")
    assert service.totals().taken == 3


async def test_bad_events_are_told_and_kept_and_good_ones_counted(service: Service, client: Client) -> None:
    service.start()
    bodies = b'{"id": "x\n' + json.dumps(event(1)).encode() + b"\n" + json.dumps(event(2, requests=-1)).encode()
    answer = await client.post(f"{service.url}/v1/usage", data=bodies, headers={"Content-Type": "application/x-ndjson"})
    told = await answer.json()
    assert (answer.status, told["accepted"]) == (400, 1)
    assert [(bad["index"], bad["reason"]) for bad in told["rejected"]] == [(0, "not_json"), (2, "out_of_range")]
    wait_until(service.has_counted_everything, "the checkpoint")
    kept = service.query("SELECT reason, payload FROM rejected ORDER BY number")
    assert kept == [("not_json", b'{"id": "x'), ("out_of_range", bodies.splitlines()[2])]
    assert (service.totals().taken, service.totals().rejected) == (1, 2)
    figures = await scrape(service, client)
    assert figures['burstwatch_events_rejected_total{reason="not_json"}'] == 1
    assert figures["burstwatch_rejected_rows"] == 2


async def test_who_shows_no_token_puts_nothing_in(service: Service) -> None:
    service.start()
    async with Client() as stranger:
        answer = await stranger.post(f"{service.url}/v1/usage", json=event(1))
    assert answer.status == 401
    assert service.query("SELECT count(*) FROM sqlite_sequence") == [(0,)]


@pytest.mark.parametrize(("host", "token"), [("0.0.0.0", None), ("127.0.0.1", ""), ("no-address", None)])
def test_a_door_open_to_everybody_is_not_opened(service: Service, host: str, token: str | None) -> None:
    variable = "BURSTWATCH_TOKEN" if token is not None else "A_VARIABLE_THAT_IS_NOT_SET"
    service.configure(http=f", host: {host}, token_env: {variable}")
    service.launch(BURSTWATCH_TOKEN=token or "")
    assert service.wait() == 1
    assert "could send events: put a token into" in service.printed()
    assert ("names is empty" in service.printed()) == (token == "")
    assert ("set http.host to 127.0.0.1" in service.printed()) == (token is None), "a cure that is not in place yet"


async def test_metrics_of_a_running_service_pass_promtool(service: Service, client: Client) -> None:
    service.start()
    await client.post(f"{service.url}/v1/usage", json=[event(1), {"id": 2}])
    wait_until(service.has_counted_everything, "the checkpoint")
    body = await (await client.get(f"{service.url}/metrics")).read()
    assert promtool("check", "metrics", given=body) == ""
    figures = await scrape(service, client)
    assert figures['burstwatch_events_taken_total{kind="usage"}'] == 1
    assert 0 <= figures["burstwatch_watermark_lag_seconds"] < 120


async def test_a_minute_closes_by_the_clock_when_nothing_more_comes(service: Service, client: Client) -> None:
    service.configure("idle_seconds: 0.5\n")
    service.start()
    last_minute = datetime.fromtimestamp((time.time() // 60 - 2) * 60, UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    await client.post(f"{service.url}/v1/usage", json=event(1, time=last_minute))
    wait_until(lambda: service.totals().spend_nano == 250_000_000, "the minute to close")
    spent = (await scrape(service, client))['burstwatch_spend_usd_total{service="bot",team="core"}']
    assert spent == 0.25


async def test_a_clean_stop_finishes_and_the_next_start_goes_on(service: Service, client: Client) -> None:
    service.start()
    await client.post(f"{service.url}/v1/usage", json=[event(n) for n in range(500)])
    assert service.end(signal.SIGTERM) == 0
    assert "stopped" in service.printed()
    service.start()
    wait_until(service.has_counted_everything, "the checkpoint")
    assert service.totals().taken == 500


async def test_a_bad_reload_keeps_the_last_good_configuration_and_says_so(service: Service, client: Client) -> None:
    service.start()
    good = (service.config / "burstwatch.yaml").read_text()
    name = "burstwatch_config_last_reload_successful"

    async def reloaded(text: str, expected: float) -> dict[str, float]:
        (service.config / "burstwatch.yaml").write_text(text)
        service.send(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while (figures := await scrape(service, client))[name] != expected:
            assert time.monotonic() < deadline
        return figures

    figures = await reloaded(good + "page_bugdet: {pages: 9}\n", 0)
    assert figures["burstwatch_page_rate_promised"] == 3
    assert (await client.post(f"{service.url}/v1/usage", json=event(1))).status == 202
    figures = await reloaded(good + "page_budget: {pages: 9}\n", 1)
    assert figures["burstwatch_page_rate_promised"] == 9
    figures = await reloaded(good + "intake: {shards: 9}\n", 0)
    assert figures["burstwatch_page_rate_promised"] == 9
    await reloaded(good, 1)
    figures = await reloaded(good + "page_budget: {pages: 9}\nidle_seconds: 7\nmetrics: {top_services: 3}\n", 0)
    assert figures["burstwatch_page_rate_promised"] == 9, "what can be taken is"
    assert "config_waits_for_restart" in service.printed()
    assert all(name in service.printed().splitlines()[-1] for name in ("idle_seconds", "metrics"))
    await reloaded(good + "kafka: {brokers: 'elsewhere:9092'}\n", 1)


def test_a_second_service_on_the_same_state_is_refused(service: Service) -> None:
    service.start()
    first = service.process
    service.launch()
    code, service.process = service.wait(), first
    assert (code, "another burstwatch uses the state file" in service.printed()) == (1, True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("intake: {shards: 9}", "the state has 4 shards, the configuration 9"),
        (
            "views: [[service], [model]]",
            "service, model, the configuration has views service; model: set them back",
        ),
    ],
)
def test_a_state_that_does_not_fit_the_configuration_is_refused(service: Service, changed: str, told: str) -> None:
    service.start()
    service.end(signal.SIGTERM)
    service.configure(f"{changed}\n")
    service.launch()
    assert service.wait() == 1
    assert told in service.printed()


async def test_a_full_disk_is_told_and_got_over(service: Service, client: Client) -> None:
    service.start()
    await client.post(f"{service.url}/v1/usage", json=event(0))
    wait_until(service.has_counted_everything, "the checkpoint")
    assert service.process is not None
    limit = ["prlimit", f"--pid={service.process.pid}", "--fsize="]
    subprocess.run([*limit[:2], limit[2] + "4096:unlimited"], check=True)
    refused = await client.post(f"{service.url}/v1/usage", json=[event(n) for n in range(1, 200)])
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    ready = await client.get(f"{service.url}/readyz")
    assert (ready.status, "cannot be written" in str(await ready.json())) == (503, True)
    subprocess.run([*limit[:2], limit[2] + "unlimited:unlimited"], check=True)
    again = await client.post(f"{service.url}/v1/usage", json=[event(n) for n in range(1, 200)])
    assert again.status == 202
    wait_until(service.has_counted_everything, "the checkpoint")
    assert service.totals().taken == 200
    assert (await client.get(f"{service.url}/readyz")).status == 200
