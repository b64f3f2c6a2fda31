"""What intake took and refused, counted: for the metrics, from whichever process it runs in."""

from __future__ import annotations

from collections import Counter

import msgspec

from detectors.intake.stage import IntakeOutput


class IntakeCounts(msgspec.Struct):
    """Events taken by kind, those among usage that came late or that nobody priced, and those refused by reason.

    Examples
    --------
    >>> counts = IntakeCounts(taken={"usage": 2})
    >>> counts.add(IntakeCounts(taken={"usage": 3}, late=1))
    >>> counts
    IntakeCounts(taken={'usage': 5}, late=1, unpriced=0, rejected={})
    """

    taken: dict[str, int] = {}
    late: int = 0
    unpriced: int = 0
    rejected: dict[str, int] = {}

    @classmethod
    def of(cls, output: IntakeOutput) -> IntakeCounts:
        """Count what came of some messages."""
        frames = output.frames.values()
        taken = {
            "usage": output.taken,
            "deployments": sum(len(frame.deployments) for frame in frames),
            "feedback": sum(len(frame.feedback) for frame in frames),
        }
        return cls(taken, output.late, output.unpriced, Counter(reject.reason for reject in output.rejects))

    def add(self, other: IntakeCounts) -> None:
        """Count what was counted elsewhere."""
        self.taken = _sums(self.taken, other.taken)
        self.rejected = _sums(self.rejected, other.rejected)
        self.late += other.late
        self.unpriced += other.unpriced


def _sums(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
