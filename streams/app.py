"""The composition root: settings to stages. The only place that knows who needs whom."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import msgspec

from detectors.events import Initiative
from detectors.incidents.life import IncidentSettings, Life
from detectors.incidents.severity import Scale, SeveritySettings
from detectors.incidents.stage import Incidents
from detectors.intake.admission import IntakeSettings
from detectors.intake.prices import PriceTable
from detectors.intake.stage import Intake
from detectors.judging.budget import Budget, PageBudget
from detectors.judging.intent import Portfolio
from detectors.judging.judge import Judge
from detectors.minutes.ledger import Ledger
from detectors.minutes.series import View
from detectors.rules.rule import Rule
from detectors.rules.rulebook import Rulebook
from detectors.verdicts import Detector
from detectors.watch.series_watch import SeriesWatch
from detectors.watch.stage import Watch
from streams.configuration.settings import Settings
from streams.delivery.routes import Route, route_budgets


class Plan(msgspec.Struct, frozen=True):
    """All that the pure stages are built from."""

    organisation: str
    intake: IntakeSettings
    views: tuple[View, ...]
    detectors: tuple[Detector, ...]
    rules: tuple[Rule, ...]
    page_budget: PageBudget
    severity: SeveritySettings
    incidents: IncidentSettings
    initiatives: tuple[Initiative, ...]
    raw_partitions: int = 1
    links: dict[str, str] = {}
    routes: tuple[Route, ...] = ()
    """Who is told of what: some of them have a page budget of their own."""
    forget_after_days: int = 35
    """After so many whole days without traffic a series is forgotten."""


class Stages(msgspec.Struct, frozen=True):
    """The pure stages, ready to step; ``shape`` names what of the configuration their states depend on."""

    intake: Intake
    watches: list[Watch]
    incidents: Incidents
    shape: str


def plan_of(settings: Settings, *, shards: int | None = None, raw_partitions: int = 1) -> Plan:
    """What a configuration asks for.

    Parameters
    ----------
    settings
        The configuration.
    shards
        Another number of shards than configured: the answer is the same, so one process needs but one.
    raw_partitions
        How many partitions usage comes in.
    """
    intake = settings.intake if shards is None else msgspec.structs.replace(settings.intake, shards=shards)
    return Plan(
        settings.organisation,
        intake,
        settings.views,
        tuple(kind for kind in settings.detectors if isinstance(kind, Detector)),
        tuple(kind for kind in settings.detectors if isinstance(kind, Rule)),
        settings.page_budget,
        settings.severity,
        settings.incidents,
        settings.initiatives,
        raw_partitions,
        settings.links,
        settings.routes.routes,
        settings.forget_after_days,
    )


def build_stages(plan: Plan, prices: PriceTable) -> Stages:
    """Build the stages of a plan: one watch a shard."""
    local = tuple(d for d in plan.detectors if not d.pooled)
    pooled = tuple(d for d in plan.detectors if d.pooled)
    narrow = tuple(view for view in plan.views if "service" in view)
    wide = tuple(view for view in plan.views if "service" not in view)
    limits = plan.intake
    watches = [
        Watch(
            shard,
            Ledger(plan.raw_partitions, limits.allowed_lateness_minutes, limits.accept_late_minutes),
            SeriesWatch(narrow, local, pooled, plan.forget_after_days),
        )
        for shard in range(limits.shards)
    ]
    titles = [detector.title for detector in plan.detectors]
    budget = Budget(plan.page_budget, plan.detectors, route_budgets(plan.routes, titles))
    portfolio = Portfolio(plan.initiatives)
    life = Life(plan.organisation, portfolio, plan.incidents, Scale(plan.severity, budget), budget, plan.links)
    rulebook = Rulebook(plan.rules, portfolio)
    watched_together = SeriesWatch(wide, local, pooled, plan.forget_after_days)
    incidents = Incidents(
        limits.shards, watched_together, Judge(local, pooled), rulebook, life, budget, plan.forget_after_days
    )
    shape = f"views {'; '.join(', '.join(view) or 'all' for view in plan.views)}"
    return Stages(Intake(limits, prices), watches, incidents, shape)


def installed_version() -> str:
    """Return the version that is installed."""
    try:
        return version("burstwatch")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "unknown"
