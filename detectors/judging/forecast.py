"""Where a month is heading: what is spent, what the rest will cost as days have cost, and what burns on top."""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from detectors.clock import MINUTES_PER_DAY, MINUTES_PER_HOUR, minute_of, moment_of
from detectors.events import MonthEnd
from detectors.intake.prices import NANO

_LASTS_HOURS = 24.0
"""An open incident is expected to burn for a day more if nobody acts."""
_Z90 = 1.6449


class DailySpend(msgspec.Struct):
    """Nano-dollars by day since the epoch, of the last month and the present one; its first day is the first ever."""

    nano: dict[int, int] = msgspec.field(default_factory=dict)


def month_bounds(minute: int) -> tuple[int, int]:
    """First minute of the month of a minute, and of the month after it.

    Examples
    --------
    >>> from detectors.clock import parse_minute
    >>> [moment_of(m).isoformat()[:10] for m in month_bounds(parse_minute("2026-12-31T23:59:00Z"))]
    ['2026-12-01', '2027-01-01']
    """
    now = moment_of(minute)
    start = datetime(now.year, now.month, 1, tzinfo=now.tzinfo)
    after = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=now.tzinfo)
    return minute_of(start), minute_of(after)


def forecast(spend: DailySpend, minute: int, burning_usd_per_hour: float, budget_usd: float | None) -> MonthEnd:
    """Forecast of the month's spend with a 90 % interval, an open incident included."""
    start, end = month_bounds(minute)
    first_day, today = start // MINUTES_PER_DAY, minute // MINUTES_PER_DAY
    spent = sum(nano for day, nano in spend.nano.items() if first_day <= day <= today) / NANO
    known = [spend.nano.get(day, 0) / NANO for day in range(max(min(spend.nano, default=today), today - 14), today)]
    days_left = (end - minute - 1) / MINUTES_PER_DAY
    today_share = (minute % MINUTES_PER_DAY + 1) / MINUTES_PER_DAY
    if known:
        mean = sum(known) / len(known)
        spread = math.sqrt(sum((x - mean) ** 2 for x in known) / max(len(known) - 1, 1))
    else:
        mean = spend.nano.get(today, 0) / NANO / today_share
        spread = mean
    burns = max(burning_usd_per_hour, 0.0) * min(_LASTS_HOURS, days_left * MINUTES_PER_DAY / MINUTES_PER_HOUR)
    middle = spent + mean * days_left + burns
    sd = math.sqrt(spread**2 * max(days_left, 0) * (1 + days_left / max(len(known), 1)) + (burns / 2) ** 2)
    over = None
    if budget_usd is not None:
        over = 0.5 * math.erfc((budget_usd - middle) / (math.sqrt(2) * max(sd, 1e-9)))
    return MonthEnd(
        round(middle, 2), round(max(middle - _Z90 * sd, spent), 2), round(middle + _Z90 * sd, 2), budget_usd, over
    )
