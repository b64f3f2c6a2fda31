"""The last word of each incident in the embedded runtime's state file, read beside the service."""

from __future__ import annotations

from pathlib import Path

from detectors.clock import MINUTES_PER_DAY
from detectors.incidents.life import ENDED_KEPT, ENDED_KEPT_MINUTES
from streams.delivery.routes import Routes
from streams.delivery.sqlite_outbox import last_words
from streams.embedded.store import reading
from streams.last_words import LastWords
from streams.wording import at_utc


def read_alerts(path: Path, routes: Routes) -> LastWords:
    """Return the newest alert of each incident in a state file, which stays as it is.

    Parameters
    ----------
    path
        Of the state file.
    routes
        Who hears of what: the file holds what anybody was to hear of.

    Raises
    ------
    StateError
        If the file cannot be read, or was written by another version.
    """
    with reading(path) as connection:
        alerts = tuple(last_words(connection))
    days = ENDED_KEPT_MINUTES // MINUTES_PER_DAY
    kept = f"what was over is kept for {days} days, the newest {ENDED_KEPT:,} of it"
    ended = [alert.time for alert in alerts if alert.state == "resolved"]
    looks_back = f"; the oldest end in {path} is of {at_utc(min(ended))}" if ended else ""
    is_all = all([routes.default, *(route.receivers for route in routes.routes)])
    missing = "" if is_all else "what routes.yaml sends to nobody is not kept, so it is not shown"
    return LastWords(alerts, missing, kept + looks_back)
