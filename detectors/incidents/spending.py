"""What the organisation spent, as the incidents stage counts it: by day, in the last hour, and under which labels."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.clock import MINUTES_PER_HOUR
from detectors.forecast import DailySpend
from detectors.frame import COST, DIMENSIONS, MEASURES, Key
from detectors.ledger import ClosedRows
from detectors.prices import NANO
from detectors.spends import Spend

_SERVICE, _MODEL = DIMENSIONS.index("service"), DIMENSIONS.index("model")


class Spending(msgspec.Struct):
    """Nano-dollars by service; the empty service is the whole organisation."""

    daily: dict[str, DailySpend] = msgspec.field(default_factory=dict)
    last_hour: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)
    labels: dict[str, Key] = msgspec.field(default_factory=dict)
    """The newest key of each service."""
    models: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """When each service was first seen to use each of its models."""

    def count(self, spends: list[Spend]) -> None:
        """Add what became known in a minute, service by service."""
        spent: dict[int, dict[str, int]] = {}
        labels: dict[str, Key] = {}
        for spend in spends:
            keys = spend.keys
            rows = zip(spend.key.tolist(), spend.minute.tolist(), spend.values[COST].tolist(), strict=True)
            for place, at, nano in rows:
                key = keys[place]
                service, of_minute = key[_SERVICE], spent.setdefault(at, {})
                of_minute[service] = of_minute.get(service, 0) + nano
                if service not in labels or labels[service] < key:
                    labels[service] = key
                models = self.models.get(service)
                if models is None or key[_MODEL] not in models:
                    self.models.setdefault(service, {})[key[_MODEL]] = at
        self.labels.update(labels)
        for at in sorted(spent):
            self._add(at, spent[at])

    def _add(self, at: int, nano_of: dict[str, int]) -> None:
        for service in sorted(nano_of):
            self.daily[service] = daily = self.daily.get(service) or DailySpend()
            daily.add(at, nano_of[service])
            hour = self.last_hour.setdefault(service, {})
            hour[at] = hour.get(at, 0) + nano_of[service]
        self.daily.setdefault("", DailySpend()).add(at, sum(nano_of.values()))

    def forget(self, minute: int) -> None:
        """Drop what is over an hour old."""
        kept = {
            service: {at: nano for at, nano in hour.items() if at > minute - MINUTES_PER_HOUR}
            for service, hour in self.last_hour.items()
        }
        self.last_hour = {service: hour for service, hour in kept.items() if hour}

    def nano_of(self, service: str, minute: int) -> int:
        """What a service spent in a minute of the last hour."""
        return self.last_hour.get(service, {}).get(minute, 0)

    def usd_last_hour(self, service: str, minute: int) -> float:
        """What a service spent in the hour up to a minute."""
        hour = self.last_hour.get(service, {})
        return sum(nano for at, nano in hour.items() if at > minute - MINUTES_PER_HOUR) / NANO

    def newest_model(self, service: str) -> str:
        """Return the model that a service has used for the shortest time; empty while it has used but one."""
        models = self.models.get(service, {})
        return max(models, key=lambda model: (models[model], model)) if len(models) > 1 else ""

    def labels_of(self, scope: dict[str, str]) -> dict[str, str]:
        """All that is known of a scope: the labels of its service, and its own."""
        key = self.labels.get(scope.get("service", ""))
        known = dict(zip(DIMENSIONS, key, strict=True)) if key else {}
        return {**known, **scope}

    def days_of(self, scope: dict[str, str]) -> DailySpend:
        """What the service of a scope spent by day; of the whole organisation where it names none."""
        return self.daily.get(scope.get("service", ""), DailySpend())


def closed_rows(keys: list[Key], spends: dict[int, list[Spend]]) -> ClosedRows:
    """What was spent in each minute as closed minutes, rows by key and event minute; new keys join the list."""
    places = {key: place for place, key in enumerate(keys)}
    which: list[int] = []
    at: list[int] = []
    ends = [0]
    values: list[NDArray[np.int64]] = []
    for some in spends.values():
        rows = [
            (spend.keys[k], m) for spend in some for k, m in zip(spend.key.tolist(), spend.minute.tolist(), strict=True)
        ]
        order = sorted(range(len(rows)), key=rows.__getitem__)
        for key in (rows[row][0] for row in order):
            if key not in places:
                places[key] = len(keys)
                keys.append(key)
        which += [places[rows[row][0]] for row in order]
        at += [rows[row][1] for row in order]
        values.append(np.concatenate([spend.values for spend in some], axis=1)[:, order])
        ends.append(len(which))
    joined = np.concatenate(values, axis=1) if values else np.zeros((len(MEASURES), 0), np.int64)
    minutes, key, event_minute = (np.array(part, np.int32) for part in (list(spends), which, at))
    return ClosedRows(minutes, np.array(ends, np.int64), key, event_minute, joined)
