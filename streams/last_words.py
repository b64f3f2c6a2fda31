"""The last word of each incident, wherever alerts are kept: which are open, and which one an id means."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from detectors.events import Alert


class LastWords(msgspec.Struct, frozen=True):
    """The newest alert of each incident that is known.

    ``missing`` says, in words, which alerts are not known, so that an open incident may be missing; ``missing_ends``
    which incidents that were over. Both are empty where all are known.
    """

    alerts: tuple[Alert, ...]
    missing: str = ""
    missing_ends: str = ""

    def open(self) -> list[Alert]:
        """Return those that are not over, the dearest first."""
        found = [alert for alert in self.alerts if alert.state != "resolved"]
        return sorted(found, key=lambda alert: (-alert.excess_usd, alert.alert_id))

    def ended(self) -> list[Alert]:
        """Return those that are over, the newest end first."""
        found = [alert for alert in self.alerts if alert.state == "resolved"]
        return sorted(found, key=lambda alert: (alert.time, alert.alert_id), reverse=True)

    def of(self, beginning: str) -> Alert:
        """Return the alert whose id begins so.

        Raises
        ------
        LookupError
            If there is none, or there are several; the sentence says which.
        """
        older = self.missing or self.missing_ends
        none = f"no alert's id begins with {beginning!r}" + (f": {older}" if older else "")
        alert_id = meant_by(beginning, (alert.alert_id for alert in self.alerts), none)
        return next(alert for alert in self.alerts if alert.alert_id == alert_id)


def meant_by(beginning: str, ids: Iterable[str], none: str) -> str:
    """Return the one id that begins so, or is just that.

    Raises
    ------
    LookupError
        If there is none, in the words of ``none``, or there are several.
    """
    found = sorted({one for one in ids if one.startswith(beginning)})
    if beginning in found:
        return beginning
    if len(found) == 1:
        return found[0]
    if not found:
        raise LookupError(none)
    raise LookupError(f"{len(found)} alerts' ids begin with {beginning!r}: {_some(found)}; give more of it")


def newest_of_each(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Return the newest alert of each incident."""
    newest: dict[str, Alert] = {}
    for alert in alerts:
        known = newest.get(alert.alert_id)
        if known is None or alert.sequence >= known.sequence:
            newest[alert.alert_id] = alert
    return tuple(newest.values())


def telling_apart(ids: Iterable[str], least: int) -> int:
    """Return how many characters of an id tell it from all others, at least so many.

    Examples
    --------
    >>> telling_apart(["bw-12ab", "bw-12cd", "bw-7"], 4), telling_apart([], 4)
    (6, 4)
    """
    all_ids = set(ids)
    longest = max(map(len, all_ids), default=0)
    return next(
        (n for n in range(least, longest) if len({one[:n] for one in all_ids}) == len(all_ids)), max(least, longest)
    )


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
