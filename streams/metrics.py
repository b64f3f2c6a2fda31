"""What Prometheus scrapes. The one module that knows the Prometheus client; runtimes call plain methods.

Every label is bounded: detectors, receivers and reasons come from a short list, and of the pairs of team and
service only the dearest have their own label, the rest are ``other``. What is counted by a short list is shown from the
start, as zero: to Prometheus, a series that begins with one has not risen.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client import exposition as text_format

from detectors.intake.decode import REASONS
from detectors.intake.raw import KINDS
from detectors.judging.budget import PageRates
from detectors.verdicts import STATUSES

OTHER = "other"
"""Label of the teams and services that are not among the dearest."""
NONE = "none"
"""Label of an empty name: Prometheus drops labels without a value."""

OUTCOMES = ("delivered", "not_wanted", "retried", "dead_letter")
"""How a notification may end, or what it may come to on its way."""

_LATENCY_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


PartitionFigures = tuple[str, int, Sequence[float | None]]
"""Stage, partition; its lag, and ages in seconds of its watermark, checkpoint and lease, None where there is none."""


class TopSpenders:
    """Chooses the pairs of team and service that have a label of their own: the dearest since the start.

    Parameters
    ----------
    limit
        How many have one. A pair takes the place of the cheapest of them once it has cost half as much again,
        so that neighbours in rank do not change places for ever.

    Examples
    --------
    >>> top = TopSpenders(limit=1)
    >>> top.place(("core", "bot"), 1.0), top.place(("ads", "ranker"), 1.0), top.place(("ads", "ranker"), 1.0)
    ((True, None), (False, None), (True, ('core', 'bot')))
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._labelled: dict[tuple[str, str], float] = {}
        self._others: dict[tuple[str, str], float] = {}

    def place(self, pair: tuple[str, str], spent_usd: float) -> tuple[bool, tuple[str, str] | None]:
        """Count a pair's spend; tell whether it has its own label, and which pair lost its label for it."""
        if pair in self._labelled or len(self._labelled) < self._limit:
            self._labelled[pair] = self._labelled.get(pair, 0.0) + spent_usd
            return True, None
        total = self._others.get(pair, 0.0) + spent_usd
        cheapest = min(self._labelled, key=self._labelled.__getitem__, default=None)
        if cheapest is None or total <= 1.5 * self._labelled[cheapest]:
            self._others[pair] = total
            self._forget_the_cheapest()
            return False, None
        self._others.pop(pair, None)
        self._others[cheapest] = self._labelled.pop(cheapest)
        self._labelled[pair] = total
        return True, cheapest

    def _forget_the_cheapest(self) -> None:
        """Keep memory bounded where names are made up without end."""
        if len(self._others) > 40 * (self._limit + 1):
            by_cost = sorted(self._others, key=self._others.__getitem__)
            for pair in by_cost[: len(by_cost) // 2]:
                del self._others[pair]


class Metrics:
    """All the figures of one process, in a registry of its own.

    Parameters
    ----------
    version
        Of Burstwatch.
    runtime
        ``embedded``, ``worker`` ...: what this process is.
    top_spenders
        How many pairs of team and service have a label of their own.

    Examples
    --------
    >>> metrics = Metrics(version="1.0", runtime="embedded")
    >>> metrics.taken("usage", 3)
    >>> body, content_type = metrics.expose()
    >>> b'burstwatch_events_taken_total{kind="usage"} 3.0' in body
    True
    """

    def __init__(self, version: str, runtime: str, top_spenders: int = 50) -> None:
        self._registry = CollectorRegistry()
        self._top = TopSpenders(top_spenders)
        self._shown: dict[Gauge, set[tuple[str, ...]]] = {}
        self._count_events()
        self._watch_detection()
        self._watch_delivery()
        self._watch_partitions()
        self._watch_the_process(version, runtime)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"burstwatch_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"burstwatch_{name}", text, labels, registry=self._registry)

    def _count_events(self) -> None:
        self._taken = self._counter("events_taken", "Events accepted and counted on to the next stage.", "kind")
        self._rejected = self._counter("events_rejected", "Events refused and kept in the rejected store.", "reason")
        self._late = self._counter("events_late", "Usage events that came after their minute had closed; they count.")
        self._duplicate = self._counter("events_duplicate", "Usage events whose source and id were seen; not counted.")
        self._unpriced = self._counter("events_unpriced", "Usage events of models that nobody priced.")
        self._spend = self._counter("spend_usd", "Spend of closed minutes; the dearest pairs, the rest is other.",
                                    "team", "service")  # fmt: skip
        for kind in KINDS:
            self._taken.labels(kind)
        for reason in REASONS:
            self._rejected.labels(reason)

    def _watch_detection(self) -> None:
        self._lag = self._gauge("watermark_lag_seconds", "Wall clock less the event time up to which input is known.")
        self._verdicts = self._counter("verdicts", "Verdicts on series and minutes that detectors reported.",
                                       "detector", "status")  # fmt: skip
        self._pages = self._counter("pages", "Incidents that woke somebody.", "detector")
        self._open = self._gauge("open_incidents", "Incidents that fire now.")
        self._series = self._gauge("series", "Combinations of values, by view, whose usual this process holds.")
        self._labels = self._gauge("labels", "Labels that spend is counted by, some of those forgotten included.")
        self._latency = Histogram(
            "burstwatch_minute_close_to_alert_seconds",
            "From the arrival of the input that closed a minute to its alert in the outbox.",
            registry=self._registry, buckets=_LATENCY_BUCKETS_SECONDS,
        )  # fmt: skip
        self._promised = self._gauge("page_rate_promised", "Pages a week that the page budget allows.")
        self._realised = self._gauge("page_rate_realised", "Pages in the last seven days of event time.")
        self._team_promised = self._gauge(
            "team_page_rate_promised", "Pages a week that a team's budget allows.", "team"
        )
        self._team_realised = self._gauge("team_page_rate_realised", "A team's pages in the last seven days.", "team")
        self._team_natural = self._gauge("team_natural_rate", "A team's part of the natural rate of all detectors.",
                                         "team")  # fmt: skip
        self._route_promised = self._gauge("route_page_rate_promised", "Pages a week that a route's budget allows.",
                                           "route")  # fmt: skip
        self._route_realised = self._gauge("route_page_rate_realised", "Pages down a route in the last seven days.",
                                           "route")  # fmt: skip
        self._route_natural = self._gauge("route_natural_rate", "A route's part of the natural rate of the detectors "
                                          "that it takes.", "route")  # fmt: skip
        self._detector_realised = self._gauge("detector_page_rate_realised",
                                              "A detector's pages in the last seven days.", "detector")  # fmt: skip
        self._natural = self._gauge("natural_rate", "Episodes a week at a detector's threshold that nothing caused, as "
                                    "learned by now.", "detector")  # fmt: skip

    def _watch_delivery(self) -> None:
        self._deliveries = self._counter("deliveries", "Notifications by how they ended.", "receiver", "outcome")
        self._outbox = self._gauge("outbox_waiting", "Notifications that are not delivered yet.")
        self._outbox_age = self._gauge("outbox_oldest_age_seconds", "Age of the oldest notification that waits.")
        self._inbox = self._gauge("inbox_waiting", "Events accepted by HTTP and not yet in a checkpoint.")
        self._rejected_rows = self._gauge("rejected_rows", "Refused events that the rejected store holds.")

    def _watch_partitions(self) -> None:
        where = ("stage", "partition")
        self._of_partition = (
            self._gauge("partition_lag", "Input that a partition's state does not contain, in offsets.", *where),
            self._gauge("partition_watermark_age_seconds", "Wall clock less the event time it has come to.", *where),
            self._gauge("partition_checkpoint_age_seconds", "Since its state was last saved.", *where),
            self._gauge("partition_lease_age_seconds", "Since this worker has held it.", *where),
        )

    def _watch_the_process(self, version: str, runtime: str) -> None:
        self._reloaded = self._gauge("config_last_reload_successful", "1 if the configuration last read is in use.")
        self._reloaded_at = self._gauge("config_last_reload_success_timestamp_seconds",
                                        "When a configuration was last taken into use.")  # fmt: skip
        self._checkpoint = Histogram(
            "burstwatch_checkpoint_seconds", "How long a checkpoint of the state took.",
            registry=self._registry, buckets=_LATENCY_BUCKETS_SECONDS,
        )  # fmt: skip
        build = Info("burstwatch_build", "What runs here.", registry=self._registry)
        build.info({"version": version, "runtime": runtime, "python": platform.python_version()})
        ProcessCollector(registry=self._registry)

    def watch_process(self, name: str, pid: Callable[[], int | None]) -> None:
        """Show processor time and memory of another process that belongs to this one, while there is one."""
        ProcessCollector(f"burstwatch_{name}", lambda: pid() or "none", registry=self._registry)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Return the body and content type of a scrape, in the format that an ``Accept`` header asks for."""
        encode, content_type = text_format.choose_encoder(accept)
        return encode(self._registry), content_type

    def receivers(self, names: Iterable[str]) -> None:
        """Show receivers, before anything was delivered to them."""
        for name in names:
            for outcome in OUTCOMES:
                self._deliveries.labels(name, outcome)

    def detectors(self, reporting: Iterable[str], speaking: Iterable[str]) -> None:
        """Show detectors whose verdicts are counted, and all that may page, before they have found anything."""
        for title in reporting:
            for status in STATUSES:
                self._verdicts.labels(title, status)
        for title in speaking:
            self._pages.labels(title)

    def taken(self, kind: str, events: int) -> None:
        """Count events accepted, of usage, deployments or feedback."""
        self._taken.labels(kind).inc(events)

    def rejected(self, reason: str, events: int = 1) -> None:
        """Count events refused, by the short code of the reason."""
        self._rejected.labels(reason).inc(events)

    def late(self, events: int) -> None:
        """Count usage that came after its minute had closed."""
        self._late.inc(events)

    def duplicate(self, events: int) -> None:
        """Count usage seen before."""
        self._duplicate.inc(events)

    def unpriced(self, events: int) -> None:
        """Count usage of models without a price."""
        self._unpriced.inc(events)

    def spend(self, team: str, service: str, usd: float) -> None:
        """Count dollars of a closed minute."""
        pair = (team or NONE, service or NONE)
        labelled, unseated = self._top.place(pair, usd)
        if unseated is not None:
            self._spend.remove(*unseated)
        self._spend.labels(*(pair if labelled else (OTHER, OTHER))).inc(usd)

    def watermark_lag(self, seconds: float) -> None:
        """Say how far event time is behind the clock."""
        self._lag.set(seconds)

    def verdicts(self, detector: str, status: str, count: int) -> None:
        """Count a detector's verdicts: warming, normal or anomalous."""
        self._verdicts.labels(detector, status).inc(count)

    def page(self, detector: str) -> None:
        """Count an incident that woke somebody."""
        self._pages.labels(detector).inc()

    def open_incidents(self, count: int) -> None:
        """Say how many incidents fire."""
        self._open.set(count)

    def series(self, count: int) -> None:
        """Say how many series this process holds, in all shards."""
        self._series.set(count)

    def labels(self, count: int) -> None:
        """Say by how many labels spend is counted."""
        self._labels.set(count)

    def minute_close_to_alert(self, seconds: float) -> None:
        """Observe how long an alert took."""
        self._latency.observe(seconds)

    def page_rates(self, rates: PageRates) -> None:
        """Say what the page budget promises, what comes naturally, and what it came to."""
        self._promised.set(rates.promised)
        self._realised.set(rates.realised)
        for gauge, values in (
            (self._team_promised, rates.team_promised),
            (self._team_realised, rates.team_realised),
            (self._team_natural, rates.team_natural),
            (self._route_promised, rates.route_promised),
            (self._route_realised, rates.route_realised),
            (self._route_natural, rates.route_natural),
            (self._detector_realised, rates.detector_realised),
            (self._natural, rates.natural),
        ):
            self._show(gauge, (((name,), value) for name, value in values.items()))

    def _show(self, gauge: Gauge, rows: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Set a gauge by its labels, then take away those that are no longer ours to tell: it never stands empty."""
        shown = set()
        for labels, value in rows:
            gauge.labels(*labels).set(value)
            shown.add(labels)
        for gone in self._shown.get(gauge, set()) - shown:
            gauge.remove(*gone)
        self._shown[gauge] = shown

    def delivery(self, receiver: str, outcome: str) -> None:
        """Count a notification: delivered, retried, dead_letter ..."""
        self._deliveries.labels(receiver, outcome).inc()

    def outbox(self, waiting: int, oldest_age_seconds: float) -> None:
        """Say how many notifications wait, and since when the oldest does."""
        self._outbox.set(waiting)
        self._outbox_age.set(oldest_age_seconds)

    def inbox(self, waiting: int) -> None:
        """Say how many accepted events wait for their checkpoint."""
        self._inbox.set(waiting)

    def rejected_rows(self, count: int) -> None:
        """Say how many refused events the rejected store holds."""
        self._rejected_rows.set(count)

    def checkpoint(self, seconds: float) -> None:
        """Observe how long a checkpoint took."""
        self._checkpoint.observe(seconds)

    def partitions(self, rows: Iterable[PartitionFigures]) -> None:
        """Say how each partition stands that this process holds, and no other any more."""
        known = list(rows)
        for number, gauge in enumerate(self._of_partition):
            told = (((stage, str(partition)), figures[number]) for stage, partition, figures in known)
            self._show(gauge, ((labels, figure) for labels, figure in told if figure is not None))

    def config_reloaded(self, successful: bool, at_seconds: float) -> None:
        """Say whether a configuration was taken into use, and when; a bad one leaves the time of the last good."""
        self._reloaded.set(1 if successful else 0)
        if successful:
            self._reloaded_at.set(at_seconds)

    def values(self) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample by its name and labels: what a test or a status page reads."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self._registry.collect()
            for sample in family.samples
        }
