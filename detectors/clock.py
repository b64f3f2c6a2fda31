"""Event time: minutes since the epoch, and the RFC 3339 stamps that stand for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

MINUTES_PER_HOUR = 60
MINUTES_PER_DAY = 1440
MINUTES_PER_WEEK = 10_080
NEVER = -(2**31)
"""A minute before all minutes."""

Timestamp = Annotated[datetime, Meta(tz=True)]
"""A moment with its time zone; without a zone it is refused."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def minute_of(moment: datetime) -> int:
    """Whole minutes since the epoch at a moment.

    Examples
    --------
    >>> from datetime import datetime, UTC
    >>> minute_of(datetime(1970, 1, 1, 1, 0, 59, tzinfo=UTC))
    60
    """
    return int((moment - EPOCH) // timedelta(minutes=1))


def moment_of(minute: int) -> datetime:
    """Return the start of a minute.

    Examples
    --------
    >>> moment_of(60).isoformat()
    '1970-01-01T01:00:00+00:00'
    """
    return EPOCH + timedelta(minutes=minute)


def parse_minute(stamp: str) -> int:
    """Minute of an RFC 3339 stamp with a zone.

    Raises
    ------
    ValueError
        If it is no RFC 3339 stamp, or names no zone.

    Examples
    --------
    >>> parse_minute("1970-01-01T01:00:30Z")
    60
    """
    moment = datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        raise ValueError(f"{stamp!r} names no time zone: write it like 2026-10-01T00:00:00Z")
    return minute_of(moment)
