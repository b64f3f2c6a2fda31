"""What each kind of detector says of its tiny scenario, line by line: a change of its words is a diff to review.

``python -m tests.laws.test_detector_goldens`` writes the files anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.events import DRIVERS
from detectors.kinds import KINDS
from detectors.verdicts import ANOMALOUS
from tests.laws.scenarios import SCENARIOS, jumped, warmed

GOLDENS = Path(__file__).resolve().parents[1] / "goldens" / "detectors"


def verdict_lines(kind: str) -> str:
    """Every anomalous word after the jump (minutes since onset, series, score, driver, excess), and the sentence."""
    scenario, trial = SCENARIOS[kind], jumped(warmed(kind), kind)
    lines = [f"# {kind}: minutes since the onset, series, score, driver, excess in USD"]
    for minute, names, verdicts, _ in trial.spoken:
        for at, name in enumerate(names):
            if minute >= scenario.onset and verdicts.status[at] == ANOMALOUS:
                driver = DRIVERS[verdicts.driver[at]]
                numbers = f"score {verdicts.score[at]:.2f}, {driver}, excess {verdicts.excess_usd[at]:.2f}"
                lines.append(f"+{minute - scenario.onset} {'/'.join(name.values)}: {numbers}")
    lines += [f"it says: {alert.reason}" for alert in trial.alerts if alert.state == "firing"][:1]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_detector_says_what_its_golden_says(kind: str) -> None:
    assert verdict_lines(kind) == (GOLDENS / f"{kind}.txt").read_text("utf-8")


if __name__ == "__main__":
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for each in sorted(KINDS):
        (GOLDENS / f"{each}.txt").write_text(verdict_lines(each), "utf-8")
