"""What came out of a run on Kafka, held against what must."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from detectors.clock import moment_of
from detectors.events import Alert
from detectors.frame import COST, DIMENSIONS, INPUT, OUTPUT, REQUESTS
from detectors.watch.reports import MinuteReport
from streams.configuration.kafka_settings import KafkaSettings
from tests.faults.receiver import Receiver
from tests.faults.reference import Expected, Sums, content_of
from tests.kafka.reading import Record, read

_SERVICE = DIMENSIONS.index("service")


class NotExactError(AssertionError):
    """Something is lost, doubled or different."""


def assert_exact(settings: KafkaSettings, expected: Expected, receiver: Receiver) -> None:
    """Hold everything that came out against what must.

    Raises
    ------
    NotExactError
        If anything is lost, doubled or different.
    """
    try:
        _compare(settings, expected, receiver)
    except AssertionError as error:
        raise NotExactError(str(error)[:2000]) from error


def _compare(settings: KafkaSettings, expected: Expected, receiver: Receiver) -> None:
    candidates, alerts = read(settings, "candidates"), read(settings, "alerts")
    assert_numbered_once(candidates)
    assert_numbered_once(alerts)
    reports = [MinuteReport.decode(record.value or b"") for record in candidates]
    assert sums_of_reports(reports) == expected.sums
    assert sum(report.duplicates for report in reports) == expected.duplicates
    assert content_of(reports) == expected.reports
    assert [record.value for record in alerts] == expected.alerts
    assert_told(expected, receiver)


def assert_numbered_once(records: list[Record]) -> None:
    """Each sender's outputs carry the numbers from 0 on, each once and in order."""
    numbers = defaultdict(list)
    for record in records:
        headers = dict(record.headers)
        numbers[headers["sender"]].append(int(headers["sequence"]))
    for sender, sequence in numbers.items():
        assert sequence == list(range(len(sequence))), f"outputs of {sender!r} are lost or doubled"


def sums_of_reports(reports: list[MinuteReport]) -> Sums:
    """Add up what the committed reports say was spent."""
    sums: Sums = {}
    for report in reports:
        spend = report.spend
        if spend is None:
            continue
        for row, (key, minute) in enumerate(zip(spend.key.tolist(), spend.minute.tolist(), strict=True)):
            day = moment_of(minute).date().isoformat()
            values = spend.values[:, row].tolist()
            place = sums.setdefault((day, spend.keys[key][_SERVICE]), Counter())
            place.update(requests=values[REQUESTS], input_tokens=values[INPUT], output_tokens=values[OUTPUT])
            place["nano"] += values[COST]
    return sums


def keys_of(alerts: list[bytes]) -> list[str]:
    """The idempotency key of each word of each alert."""
    decoded = [msgspec.json.decode(alert, type=Alert) for alert in alerts]
    return [f"{alert.alert_id}/{alert.sequence}" for alert in decoded]


def assert_told(expected: Expected, receiver: Receiver) -> None:
    """Every word of every alert arrived; what arrived again said that it might be a duplicate."""
    told = receiver.told()
    assert {key for key, _ in told} == set(keys_of(expected.alerts))
    unmarked = Counter(key for key, possible_duplicate in told if not possible_duplicate)
    assert [key for key, count in unmarked.items() if count > 1] == [], "sent twice without saying so"
