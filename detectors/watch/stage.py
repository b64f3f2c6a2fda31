"""Watch: frames to what is unusual in each closed minute. The stage that runs once a shard.

All series of the shard are judged side by side. Nothing is pooled between series here, so that the answer does not
depend on how series are spread over shards.
"""

from __future__ import annotations

import msgspec

from detectors.frame import Frame
from detectors.minutes.ledger import Ledger, due_deployments, due_feedback
from detectors.minutes.spends import Spends
from detectors.watch.forgetting import drop_keys
from detectors.watch.reports import MinuteReport
from detectors.watch.series_watch import SeriesWatch
from detectors.watch.standing import Standing
from detectors.watch.state import WatchPages, WatchState


class Watch:
    """The stage: frames of one shard in, minute reports out.

    Parameters
    ----------
    shard
        Which shard.
    ledger
        Closes the minutes.
    series
        Judges them.
    """

    def __init__(self, shard: int, ledger: Ledger, series: SeriesWatch) -> None:
        self._shard = shard
        self._ledger = ledger
        self._series = series
        self._spends = Spends()

    def start(self) -> WatchState:
        """Nothing seen yet."""
        return WatchState(self._ledger.start(), self._series.start())

    def pages(self) -> WatchPages:
        """Return what writes and reads a state."""
        return WatchPages(self._series.start())

    def step(self, state: WatchState, frame: Frame) -> tuple[WatchState, list[MinuteReport]]:
        """Take a frame; report the minutes that it closes."""
        keys, day = state.ledger.keys, state.series.forgotten.day
        closed = self._ledger.apply(state.ledger, frame)
        made = [due_deployments(state.ledger, minute) for minute in closed.at.tolist()]
        state.series, judged, standing = self._series.step(state.series, closed, made, keys)
        said = [due_feedback(state.ledger, minute) for minute in closed.at.tolist()]
        still: dict[int, list[Standing]] = {}
        for one in standing:
            still.setdefault(one.minute, []).append(one)
        minutes = zip(closed.at.tolist(), judged, self._spends.of(keys, closed), made, said, strict=True)
        reports = [
            MinuteReport(self._shard, at, at, report, spend, due, feedback=decided, standing=still.get(at, []))
            for at, report, spend, due, decided in minutes
        ]
        if reports:
            reports[0] = self._with_counts(state, reports[0])
        through = state.ledger.closed
        if through > state.reported and (not reports or reports[-1].minute < through):
            due = due_deployments(state.ledger, through)
            self._series.note(state.series, through, due)
            decided = due_feedback(state.ledger, through)
            reports.append(MinuteReport(self._shard, through, through, None, None, due, feedback=decided))
        state.reported = through
        if state.series.forgotten.day > day:
            drop_keys(state.ledger, state.series, self._series.oldest_minute(state.series))
        return state, reports

    def _with_counts(self, state: WatchState, report: MinuteReport) -> MinuteReport:
        """Tell of the duplicates and late rows that were found since the last report."""
        duplicates = state.ledger.duplicates - state.duplicates
        late = state.ledger.late - state.late
        state.duplicates, state.late = state.ledger.duplicates, state.ledger.late
        return msgspec.structs.replace(report, duplicates=duplicates, late=late)
