"""The numbers behind an alert's sentence: what a series did in the horizon that fired, and what it usually does."""

from __future__ import annotations

import math

from detectors.baselines.baselines import C_SHARE, C_VOLUME, TAU_MINUTES
from detectors.minutes.totals import ERR, GPU, PAID, N
from detectors.verdicts import Seen

_UNKNOWN_ABOVE = -20.0
"""Further below the week's highest than this, no highest is known."""


def numbers_of(seen: Seen, row: int, horizon: int) -> dict[str, float]:
    """Return the numbers of a row by the names of docs/formats.md; those that are unknown are left out."""
    r = seen.residuals
    now, usual = r.sums[row, horizon], r.base[row, horizon]
    rate = 1 - math.exp(-1 / float(TAU_MINUTES[horizon]))
    usd, above = 60 * float(r.usd_per_minute[row, horizon]), float(r.above[row, horizon, C_VOLUME])
    found = {
        "usd_per_hour": usd,
        "usual_usd_per_hour": 60 * float(r.usual_usd_per_minute[row, horizon]),
        "highest_usd_per_hour": usd / math.exp(above) if _UNKNOWN_ABOVE < above < -_UNKNOWN_ABOVE else math.nan,
        "requests_per_hour": 60 * rate * float(now[N]),
        "usual_requests_per_hour": 60
        * float(r.usual_usd_per_minute[row, horizon])
        * _ratio(usual[N], usual[PAID] + usual[GPU]),
        "error_share": _ratio(now[ERR], now[N]),
        "usual_error_share": _ratio(usual[ERR], usual[N]),
        "usd_per_success": _ratio(now[PAID], now[N] - now[ERR]),
        "usual_usd_per_success": _ratio(usual[PAID], usual[N] - usual[ERR]),
        "share": _of_odds(float(r.level[row, horizon, C_SHARE])),
        "usual_share": _of_odds(float(r.level[row, horizon, C_SHARE] - r.step[row, horizon, C_SHARE])),
        "usd_in_horizon": float(now[PAID] + now[GPU]),
        "requests_per_minute": float(r.rhythm.requests_per_minute[row]),
        "jitter": float(r.rhythm.jitter[row]),
        "evenness": float(r.rhythm.evenness[row]),
        "usd_of_dearest_four_hours": float(r.rhythm.cadence_most_usd[row]),
    }
    return {name: float(f"{value:.6g}") for name, value in found.items() if math.isfinite(value)}


def _ratio(above: float, below: float) -> float:
    return float(above) / float(below) if below > 0 else math.nan


def _of_odds(logarithm: float) -> float:
    """Share of odds given as a logarithm.

    Examples
    --------
    >>> _of_odds(0.0)
    0.5
    """
    return 1 / (1 + math.exp(-min(max(logarithm, -500.0), 500.0))) if math.isfinite(logarithm) else math.nan
