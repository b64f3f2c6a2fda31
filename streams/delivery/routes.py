"""Who hears of which alert: ``routes.yaml``, and the pure routing of an alert to receivers.

Routes are tried in order; the first that matches takes the alert, unless it says ``continue: true``. What no
route takes goes to the receivers of ``default``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta

from detectors.events import Alert
from streams.delivery.past import DigestSettings
from streams.notifiers import ReceiverSettings

Patterns = str | tuple[str, ...]
"""One shell pattern (``team-*``) or several, of which one must match."""

Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an alert must be for a route to take it; everything given must match.

    A dimension that the alert's scope does not name matches no pattern but ``*``.
    """

    severity: Patterns = "*"
    team: Patterns = "*"
    service: Patterns = "*"
    environment: Patterns = "*"
    initiative: Patterns = "*"
    principal: Patterns = "*"
    provider: Patterns = "*"
    model: Patterns = "*"
    driver: Patterns = "*"
    detector: Patterns = "*"
    intent: Patterns = "*"


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"goes_on": "continue"}):
    """One route: what it takes, to whom, and whether later routes may take it as well."""

    receivers: tuple[str, ...]
    match: Match = Match()
    goes_on: bool = False


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to deal with a receiver that does not answer well.

    Pauses double from the first to the longest. A message that has failed for ``give_way_after_seconds`` lets the
    next incident's go first, and is tried again later; it is never given up. ``timeout_seconds`` is for one POST.
    """

    first_pause_seconds: Seconds = 0.5
    longest_pause_seconds: Seconds = 30.0
    give_way_after_seconds: Seconds = 120.0
    timeout_seconds: Seconds = 10.0


class Problem(msgspec.Struct, frozen=True):
    """A receiver that a route names and nobody has declared: its path in the file, and its name."""

    path: str
    receiver: str


class Routes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``routes.yaml``."""

    receivers: dict[str, ReceiverSettings]
    default: tuple[str, ...]
    routes: tuple[Route, ...] = ()
    retries: RetrySettings = RetrySettings()
    digest: DigestSettings = DigestSettings()

    def problems(self) -> Iterator[Problem]:
        """Yield each place that names a receiver which is not declared."""
        places = [("default", self.default)]
        places += [(f"routes[{n}].receivers", route.receivers) for n, route in enumerate(self.routes)]
        for path, names in places:
            for n, name in enumerate(names):
                if name not in self.receivers:
                    yield Problem(f"{path}[{n}]", name)

    def receivers_of(self, alert: Alert, told: Sequence[str] = ()) -> tuple[str, ...]:
        """Return who hears of an alert.

        Parameters
        ----------
        alert
            In any of its states.
        told
            Who has heard of the incident before. They hear of whatever follows; others only of a firing, which
            comes again when an incident has grown more severe.
        """
        named = tuple(told) if alert.state != "firing" else (*told, *self._matching(alert))
        return tuple(dict.fromkeys(named))

    def _matching(self, alert: Alert) -> Iterator[str]:
        taken = False
        for route in self.routes:
            if _fits(route.match, alert):
                taken = True
                yield from route.receivers
                if not route.goes_on:
                    return
        if not taken:
            yield from self.default


def _fits(match: Match, alert: Alert) -> bool:
    said = {
        "severity": alert.severity,
        "driver": alert.cause.driver,
        "detector": alert.detector,
        "intent": alert.intent.verdict,
        "initiative": alert.intent.initiative or alert.scope.get("initiative", ""),
    }
    return all(
        _any_fits(getattr(match, name), said.get(name, alert.scope.get(name, ""))) for name in match.__struct_fields__
    )


def _any_fits(patterns: Patterns, value: str) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in ((patterns,) if isinstance(patterns, str) else patterns))
