"""What the peers do with an event: exact nothing, only sums and a rolling z a minute. Shared by all of them.

Sums of dollars, tokens and requests by service, principal and model; when every partition has passed a minute, each
sum of dollars is held against its exponentially weighted mean and spread. Nothing is checked, nothing is priced,
duplicates count twice, nothing survives a crash.
"""

from __future__ import annotations

import json
import math
import sys
import time

Place = tuple[str, str, str]


class RollingZ:
    """Sums and z by minute.

    Parameters
    ----------
    partitions
        A minute closes when all of them have passed it.
    """

    def __init__(self, partitions: int) -> None:
        self.events = 0
        self.odd = 0
        self._high = dict.fromkeys(range(partitions), "")
        self._open: dict[str, dict[Place, list[float]]] = {}
        self._usual: dict[Place, list[float]] = {}
        self._began = self._began_cpu = 0.0

    def add(self, partition: int, event: dict[str, object]) -> None:
        """Count an event in."""
        if not self.events:
            self.begin()
        self.events += 1
        at: str = event["time"]  # type: ignore[assignment]  # JSON is not typed
        place: Place = event["service"], event["principal"], event["model"]  # type: ignore[assignment]
        minute = self._open.get(at)
        if minute is None:
            minute = self._open[at] = {}
        sums = minute.get(place)
        if sums is None:
            sums = minute[place] = [0.0, 0, 0]
        sums[0] += event["cost_usd"] or 0.0  # type: ignore[operator]
        sums[1] += event["input_tokens"] + event["output_tokens"]  # type: ignore[operator]
        sums[2] += event["requests"]  # type: ignore[operator]
        if at > self._high[partition]:
            self._high[partition] = at
            self._close()

    def begin(self) -> None:
        """Start the clocks."""
        self._began, self._began_cpu = time.monotonic(), time.process_time()

    def _close(self) -> None:
        passed = min(self._high.values())
        for at in sorted(at for at in self._open if at < passed):
            for place, (dollars, _, _) in self._open.pop(at).items():
                usual = self._usual.setdefault(place, [dollars, 0.0])
                off = dollars - usual[0]
                self.odd += abs(off) > 6 * math.sqrt(usual[1]) + 1.0
                usual[0] += 0.01 * off
                usual[1] += 0.01 * (off * off - usual[1])

    def tell(self) -> None:
        """Print what it took, from the first event on."""
        wall, cpu = time.monotonic() - self._began, time.process_time() - self._began_cpu
        sys.stdout.write(json.dumps({"events": self.events, "seconds": wall, "cpu_seconds": cpu, "odd": self.odd}))
        sys.stdout.flush()
