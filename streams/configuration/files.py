"""What each file of a configuration may say: types, units, bounds and defaults."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detectors.events import Initiative
from detectors.incidents.life import IncidentSettings
from detectors.incidents.severity import SeveritySettings
from detectors.intake.admission import IntakeSettings
from detectors.judging.budget import PageBudget
from detectors.kind import Kind
from detectors.kinds import KINDS
from detectors.rules import RULES
from streams.configuration.kafka_settings import KafkaSettings

Dimension = Literal["team", "service", "environment", "initiative", "principal", "provider", "model"]
Usd = Annotated[float, Meta(ge=0, le=1e6)]
VariableName = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
LinkName = Annotated[str, Meta(min_length=1, max_length=48)]


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens: usage and deployments in, metrics and health out.

    ``token_env`` names the environment variable that holds the bearer token which senders must show.
    """

    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    token_env: VariableName = "BURSTWATCH_TOKEN"  # noqa: S105 — the name of a variable, not a token
    max_request_bytes: Annotated[int, Meta(ge=1024, le=1_000_000_000)] = 4_000_000


class StateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the embedded runtime keeps its state (a SQLite file), how often, and how much may wait there."""

    path: Text = "burstwatch.db"
    checkpoint_seconds: Annotated[float, Meta(gt=0, le=3600)] = 1.0
    inbox_max_bytes: Annotated[int, Meta(ge=1024)] = 1_000_000_000
    rejected_kept: Annotated[int, Meta(ge=0)] = 10_000


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many (team, service) pairs have a label of their own; the rest count as ``other``."""

    top_services: Annotated[int, Meta(ge=1, le=1000)] = 50


class TokenPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dollars for a million tokens; cached and written input cost what input costs where they are not given."""

    input: Usd
    output: Usd
    cached_input: Usd | None = None
    cache_write: Usd | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """What one model costs from a day on; without a provider it holds for all of them."""

    model: Text
    provider: str = ""
    since: date | None = None
    usd_per_million: TokenPrices | None = None
    usd_per_gpu_hour: Usd | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that prices nothing."""
        if self.usd_per_million is None and self.usd_per_gpu_hour is None:
            raise ValueError("prices nothing: give usd_per_million, usd_per_gpu_hour or both")


class BurstwatchYaml(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ``burstwatch.yaml`` may say."""

    organisation: Text = "default"
    intake: IntakeSettings = IntakeSettings()
    idle_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    views: Annotated[tuple[tuple[Dimension, ...], ...], Meta(min_length=1)] = (
        ("service",),
        ("service", "principal"),
        ("service", "model"),
    )
    forget_after_days: Annotated[int, Meta(ge=8, le=3650)] = 35
    page_budget: PageBudget = PageBudget()
    severity: SeveritySettings = SeveritySettings()
    incidents: IncidentSettings = IncidentSettings()
    detectors: Annotated[tuple[Kind, ...], Meta(min_length=1)] = tuple(
        kind() for kind in (*KINDS.values(), *RULES.values())
    )
    links: dict[LinkName, Annotated[str, Meta(min_length=1, max_length=1024)]] = {}
    http: HttpSettings = HttpSettings()
    state: StateSettings = StateSettings()
    metrics: MetricsSettings = MetricsSettings()
    kafka: KafkaSettings = KafkaSettings()


class InitiativesYaml(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``initiatives.yaml`` may say."""

    initiatives: tuple[Initiative, ...] = ()


class PricesYaml(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``prices.yaml`` may say."""

    prices: tuple[Price, ...] = ()
