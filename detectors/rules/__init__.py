"""Every kind of rule, by the name that a YAML entry gives. Adding one is one file and one line here.

Rules know what needs no statistics: spend against what was declared, and what is no longer there.
"""

from __future__ import annotations

from detectors.rules.experiment_expired import ExperimentExpired
from detectors.rules.experiment_over_ceiling import ExperimentOverCeiling
from detectors.rules.rule import Rule
from detectors.rules.source_silent import SourceSilent
from detectors.rules.undeclared_spend import UndeclaredSpend

RULES: dict[str, type[Rule]] = {
    kind.kind: kind for kind in (ExperimentExpired, ExperimentOverCeiling, SourceSilent, UndeclaredSpend)
}
