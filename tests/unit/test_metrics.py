"""What Prometheus scrapes: names, units, bounded labels."""

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.judging.budget import PageRates
from streams.metrics import NONE, OTHER, Metrics
from tests.unit.promtool import promtool

if TYPE_CHECKING:
    from _collections_abc import dict_items


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", runtime="embedded", top_spenders=2)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.values()[name, tuple(sorted(labels.items()))]


def use_everything(metrics: Metrics) -> None:
    metrics.taken("usage", 3)
    metrics.rejected("not_json")
    metrics.late(1)
    metrics.duplicate(1)
    metrics.unpriced(1)
    metrics.spend("core", "bot", 1.5)
    metrics.watermark_lag(65.0)
    metrics.verdicts("volume_burst", "anomalous", 2)
    metrics.page("volume_burst")
    metrics.open_incidents(1)
    metrics.series(3)
    metrics.labels(3)
    metrics.minute_close_to_alert(0.7)
    of_team, of_route = {"support": 1.0}, {"search": 1.0}
    rates = PageRates(
        3.0, 1, {"driver_step": 2.0}, {"driver_step": 1}, of_team, {"support": 0}, of_team, of_route, {"search": 1},
        of_route,
    )  # fmt: skip
    metrics.page_rates(rates)
    metrics.delivery("slack", "delivered")
    metrics.outbox(2, 12.0)
    metrics.inbox(40)
    metrics.rejected_rows(7)
    metrics.checkpoint(0.02)
    metrics.config_reloaded(successful=True, at_seconds=1_790_000_000.0)


def test_promtool_finds_no_fault_with_names_units_and_help(metrics: Metrics) -> None:
    use_everything(metrics)
    body, _ = metrics.expose()
    assert promtool("check", "metrics", given=body) == ""


def test_every_sample_of_ours_carries_our_prefix(metrics: Metrics) -> None:
    use_everything(metrics)
    foreign = {name for name, _ in metrics.values() if not name.startswith(("burstwatch_", "process_"))}
    assert foreign == set()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
    ],
)
def test_a_scrape_gets_the_format_that_it_asks_for(metrics: Metrics, accept: str, content_type: str) -> None:
    _, told = metrics.expose(accept)
    assert told.startswith(content_type)


def test_two_processes_in_one_test_do_not_share_figures(metrics: Metrics) -> None:
    other = Metrics(version="1", runtime="worker")
    other.taken("usage", 5)
    metrics.taken("usage", 1)
    assert value(metrics, "burstwatch_events_taken_total", kind="usage") == 1


def test_spend_beyond_the_dearest_pairs_is_other(metrics: Metrics) -> None:
    for service, usd in [("a", 10.0), ("b", 9.0), ("c", 1.0), ("d", 2.0)]:
        metrics.spend("team", service, usd)
    assert value(metrics, "burstwatch_spend_usd_total", team=OTHER, service=OTHER) == 3.0


def test_a_pair_that_becomes_dear_takes_the_label_of_the_cheapest(metrics: Metrics) -> None:
    for service, usd in [("a", 10.0), ("b", 1.0), ("c", 1.5), ("c", 0.5)]:
        metrics.spend("team", service, usd)
    labelled = {dict(labels)["service"] for name, labels in metrics.values() if name == "burstwatch_spend_usd_total"}
    assert labelled == {"a", "c", OTHER}


def test_an_empty_team_is_shown_as_none(metrics: Metrics) -> None:
    metrics.spend("", "bot", 1.0)
    assert value(metrics, "burstwatch_spend_usd_total", team=NONE, service="bot") == 1.0


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.floats(0, 1e6))))
def test_labels_of_spend_are_bounded_whatever_comes(spends: list[tuple[str, float]]) -> None:
    metrics = Metrics(version="1", runtime="embedded", top_spenders=3)
    for service, usd in spends:
        metrics.spend("team", service, usd)
    labelled = [labels for name, labels in metrics.values() if name == "burstwatch_spend_usd_total"]
    assert len(labelled) <= 4


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.floats(0, 1e6)), min_size=1))
def test_the_spend_of_the_others_never_falls(spends: list[tuple[str, float]]) -> None:
    metrics = Metrics(version="1", runtime="embedded", top_spenders=3)
    shown = []
    for service, usd in spends:
        metrics.spend("team", service, usd)
        shown.append(metrics.values().get(("burstwatch_spend_usd_total", (("service", OTHER), ("team", OTHER))), 0.0))
    assert all(before <= after for before, after in pairwise(shown))


def test_what_is_counted_by_a_short_list_begins_with_zero(metrics: Metrics) -> None:
    metrics.receivers(["slack"])
    metrics.detectors(["volume_burst"], ["volume_burst", "source_silent"])
    assert value(metrics, "burstwatch_deliveries_total", receiver="slack", outcome="dead_letter") == 0
    assert value(metrics, "burstwatch_events_rejected_total", reason="poisonous") == 0
    assert value(metrics, "burstwatch_events_taken_total", kind="usage") == 0
    assert value(metrics, "burstwatch_verdicts_total", detector="volume_burst", status="anomalous") == 0
    assert value(metrics, "burstwatch_pages_total", detector="source_silent") == 0
    metrics.delivery("slack", "dead_letter")
    metrics.receivers(["slack", "pager"])
    assert value(metrics, "burstwatch_deliveries_total", receiver="slack", outcome="dead_letter") == 1, "not begun anew"


class LookedAt(dict[str, float]):
    """Rates during whose showing somebody scrapes."""

    def __init__(self, metrics: Metrics, rates: dict[str, float]) -> None:
        super().__init__(rates)
        self._metrics = metrics
        self.seen: list[set[str]] = []

    def items(self) -> "dict_items[str, float]":
        self.seen.append(shown(self._metrics, "burstwatch_natural_rate", "detector"))
        return super().items()


def shown(metrics: Metrics, name: str, label: str) -> set[str]:
    return {dict(labels)[label] for told, labels in metrics.values() if told == name}


def test_a_scrape_never_finds_a_gauge_empty_and_what_is_gone_is_gone(metrics: Metrics) -> None:
    metrics.page_rates(PageRates(3.0, 1, natural={"old": 2.0, "stays": 1.0}))
    looked_at = LookedAt(metrics, {"stays": 1.5, "new": 2.0})
    metrics.page_rates(PageRates(3.0, 1, natural=looked_at))
    assert looked_at.seen == [{"old", "stays"}]
    assert shown(metrics, "burstwatch_natural_rate", "detector") == {"stays", "new"}
    metrics.partitions([("watch", 0, (1, 2.0, 3.0, 4.0)), ("watch", 1, (1, 2.0, 3.0, 4.0))])
    metrics.partitions([("watch", 1, (5, 2.0, None, 4.0))])
    assert shown(metrics, "burstwatch_partition_lag", "partition") == {"1"}
    assert shown(metrics, "burstwatch_partition_checkpoint_age_seconds", "partition") == set()


def test_a_bad_reload_keeps_the_time_of_the_last_good_one(metrics: Metrics) -> None:
    metrics.config_reloaded(successful=True, at_seconds=100.0)
    metrics.config_reloaded(successful=False, at_seconds=200.0)
    assert value(metrics, "burstwatch_config_last_reload_successful") == 0
    assert value(metrics, "burstwatch_config_last_reload_success_timestamp_seconds") == 100.0
