"""``make bench ARGS=score``: made series of many kinds, `burstwatch score` and simple detectors, by family.

Two figures each: average precision by row, and the same with rows up to some distance from an incident counted in part,
averaged over distances up to a hundred rows (as VUS-PR by Paparrizos et al., VLDB 2022, does).
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from detectors.one_metric import univariate
from tests.benchmarks.score.families import FAMILIES, Floats, Labels, series
from tests.benchmarks.score.lookalikes import LOOKALIKES
from tests.benchmarks.score.peers import PEERS

UNJUDGED_ROWS = 200
DISTANCES = (0, 20, 40, 60, 80, 100)


def burstwatch(values: Floats) -> Floats:
    """As the command has it."""
    return univariate.step(univariate.start(), values)[1].score


def main(words: list[str]) -> None:
    """Measure and print; the argument is how many series a family (4), and a seed (0)."""
    each, seed = (int(word) for word in (words + ["4", "0"][len(words) :])[:2])
    detectors = (burstwatch, *PEERS)
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    rows = 0
    for family, values, odd in series((*FAMILIES, *LOOKALIKES), seed, each):
        rows += len(values)
        for detector in detectors:
            began = time.process_time()
            scores = np.nan_to_num(detector(values))[UNJUDGED_ROWS:]
            seconds[detector.__name__] += time.process_time() - began
            found[family, detector.__name__].append(_measured(odd[UNJUDGED_ROWS:], scores))
    names = [detector.__name__ for detector in detectors]
    families = list(dict.fromkeys(family for family, _ in found))
    means = {place: np.mean(figures, axis=0) for place, figures in found.items()}
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    lines += [f"| {family} | " + " | ".join(_cell(means[family, name]) for name in names) + " |" for family in families]
    overall = [np.mean([means[family, name] for family in families], axis=0) for name in names]
    lines.append("| **mean** | " + " | ".join(f"**{_cell(mean)}**" for mean in overall) + " |")
    lines.append("| µs a row | " + " | ".join(f"{seconds[name] / rows * 1e6:.0f}" for name in names) + " |")
    sys.stdout.write(f"{each} series a family, {rows:,} rows, seed {seed}\n\n" + "\n".join(lines) + "\n\n")


def _cell(figures: NDArray[np.float64]) -> str:
    return f"{figures[0]:.2f} / {figures[1]:.2f}"


def _measured(odd: Labels, scores: Floats) -> tuple[float, float]:
    near = [_range_precision(odd, scores, distance) for distance in DISTANCES]
    return float(average_precision_score(odd, scores)), float(np.mean(near))


def _range_precision(odd: Labels, scores: Floats, distance: int) -> float:
    """Area under precision against recall, recall weighted by the share of incidents of which any row is found."""
    weight = _widened(odd, distance)
    changes = np.diff(np.concatenate([[0], (weight > 0).astype(int), [0]]))
    spans = list(zip(np.flatnonzero(changes == 1).tolist(), np.flatnonzero(changes == -1).tolist(), strict=True))
    peaks = np.array([scores[start:end].max() for start, end in spans])
    order = np.argsort(-scores, kind="stable")
    found, ordered = weight[order].cumsum(), scores[order]
    cuts = np.unique(np.concatenate([np.linspace(1, len(scores), 60), np.geomspace(1, len(scores), 60)]).astype(int))
    cuts = np.unique(np.searchsorted(-ordered, -ordered[cuts - 1], side="right"))
    existence = np.array([(peaks >= ordered[cut - 1]).mean() for cut in cuts])
    recall = np.minimum(found[cuts - 1] / ((odd.sum() + weight.sum()) / 2), 1.0) * existence
    precision = found[cuts - 1] / cuts
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _widened(odd: Labels, distance: int) -> Floats:
    weight, half = odd.astype(float), distance // 2
    changes = np.diff(np.concatenate([[0], odd, [0]]))
    fading = np.sqrt(1 - np.arange(1, half + 1) / (half + 1))
    for start, end in zip(np.flatnonzero(changes == 1).tolist(), np.flatnonzero(changes == -1).tolist(), strict=True):
        after, before = min(half, len(odd) - end), min(half, start)
        weight[end : end + after] = np.maximum(weight[end : end + after], fading[:after])
        weight[start - before : start] = np.maximum(weight[start - before : start], fading[:before][::-1])
    return weight
