"""Which candidates belong together: where each is, since when, and what kind of cause it speaks of."""

from __future__ import annotations

import msgspec

from detectors.judging.judge import Candidate
from detectors.minutes.series import SeriesName


def place_of(found: Candidate) -> str:
    """Where a candidate's incident is: its service, else its whole series; a rule's finding is where it says."""
    scope = found.name.scope()
    if found.is_by_chance and "service" in scope:
        return scope["service"]
    return "\x1f".join(f"{k}={v}" for k, v in scope.items())


def together(found: list[Candidate], place: str) -> Candidate:
    """Candidates of several series as one of the dimension that they share; the strongest speaks, dollars add up."""
    loudest = max(found, key=lambda c: (c.score, c.name))
    contributions: dict[str, float] = {}
    for one in found:
        for driver, usd in one.contributions_usd.items():
            contributions[driver] = contributions.get(driver, 0.0) + usd
    return msgspec.structs.replace(
        loudest,
        name=SeriesName((place,), (loudest.name.scope()[place],)),
        team=loudest.team if len({c.team for c in found}) == 1 else "",
        principal="",
        excess_usd=sum(c.excess_usd for c in found),
        usd_per_hour=sum(c.usd_per_hour for c in found),
        observed_usd_per_hour=sum(c.observed_usd_per_hour for c in found),
        contributions_usd=contributions,
    )


def onset_of(found: Candidate) -> int:
    """The first minute of what a candidate saw, as far as its horizon tells."""
    return found.minute - found.horizon_minutes + 1


def family_of(found: Candidate) -> str:
    """What kind of cause a candidate speaks of."""
    return "tokens" if found.driver in ("input_per_request", "output_per_request") else found.driver
