"""What has gathered while Burstwatch was away for a day: usage up to now; of its incidents all are over but one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

MINUTES = 1440
OVER = {"billing": 120, "answers": 400, "search": 700}
"""When each service used a model that nobody has priced, for some minutes."""
OPEN = {"tagger": MINUTES - 12}
"""And which one still does."""
_LASTS_MINUTES = 5


def backlog() -> list[bytes]:
    """Return a day of usage until now, in order."""
    return list(_events(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=MINUTES)))


def _events(start: datetime) -> Iterator[bytes]:
    for minute in range(MINUTES):
        for service, begins in {**OVER, **OPEN}.items():
            burns = begins <= minute < begins + (_LASTS_MINUTES if service in OVER else MINUTES)
            event = {
                "id": f"{service}-{minute}",
                "time": (start + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "source": "gateway",
                "service": service,
                "model": "not-priced" if burns else "gpt-4.1-mini",
                "requests": 10,
                "input_tokens": 5000,
                "cost_usd": None if burns else 0.01,
            }
            yield json.dumps(event).encode()
