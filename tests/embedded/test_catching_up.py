"""A day's backlog makes one digest of what is over, and the usual words of what still burns."""

from __future__ import annotations

import signal
import urllib.request

from tests.embedded.backlog import OPEN, OVER, backlog
from tests.embedded.running import TOKEN, Service, wait_until
from tests.faults.receiver import Receiver
from tests.faults.run import WEBHOOK

SETTLED = [("delivered",), ("digested",)]


def start(service: Service, receiver: Receiver) -> None:
    (service.config / "routes.yaml").write_text(WEBHOOK)
    service.start(ALERT_URL=receiver.url)


def post(service: Service, lines: list[bytes]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    asked = urllib.request.Request(f"{service.url}/v1/usage", b"\n".join(lines), headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 202


def test_a_days_backlog_is_one_digest_and_what_is_open(service: Service, receiver: Receiver) -> None:
    start(service, receiver)
    lines = backlog()
    post(service, lines[: len(lines) // 2])
    wait_until(lambda: bool(service.query("SELECT 1 FROM deliveries WHERE status = 'held'")), "words to be held")
    assert receiver.told() == []
    service.end(signal.SIGKILL)
    service.start(ALERT_URL=receiver.url)
    post(service, lines[len(lines) // 2 :])
    wait_until(lambda: bool(receiver.digests()), "the digest")
    wait_until(lambda: service.query("SELECT DISTINCT status FROM deliveries ORDER BY 1") == SETTLED, "the rest")

    (digest,) = receiver.digests()
    assert {past["scope"]["service"] for past in digest["incidents"]} == set(OVER)
    assert {alert["scope"]["service"] for alert in receiver.alerts()} == set(OPEN)
    assert len(service.alerts()) > len(receiver.told()), "every word is kept"
