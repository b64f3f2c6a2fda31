"""Every kind of detector, by the name that a YAML entry gives. Adding one is one file and one line here."""

from __future__ import annotations

from detectors.kinds.clockwork import Clockwork
from detectors.kinds.driver_step import DriverStep
from detectors.kinds.idle_gpu import IdleGpu
from detectors.kinds.job_cadence import JobCadence
from detectors.kinds.new_model import NewModel
from detectors.kinds.odd_mixture import OddMixture
from detectors.kinds.range_break import RangeBreak
from detectors.kinds.retry_storm import RetryStorm
from detectors.kinds.share_burst import ShareBurst
from detectors.kinds.unit_price import UnitPrice
from detectors.kinds.unlike_peers import UnlikePeers
from detectors.kinds.unpriced_model import UnpricedModel
from detectors.kinds.volume_burst import VolumeBurst
from detectors.verdicts import Detector

KINDS: dict[str, type[Detector]] = {
    kind.kind: kind
    for kind in (
        Clockwork,
        DriverStep,
        IdleGpu,
        JobCadence,
        NewModel,
        OddMixture,
        RangeBreak,
        RetryStorm,
        ShareBurst,
        UnitPrice,
        UnlikePeers,
        UnpricedModel,
        VolumeBurst,
    )
}
