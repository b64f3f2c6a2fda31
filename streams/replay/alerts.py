"""The last word of each incident in a file of alerts, as a replay or the demo writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from detectors.events import Alert
from streams.last_words import LastWords, newest_of_each
from streams.replay.lines import lines_of


class NoAlertError(Exception):
    """A line is no alert; the sentence says which and what to do."""


def read_alerts(path: Path) -> LastWords:
    """Return the newest alert of each incident in a file, or in standard input for ``-``.

    Raises
    ------
    OSError, EOFError
        If the file cannot be read.
    NoAlertError
        If it is not one of alerts.
    """
    return LastWords(newest_of_each(_alerts_in(path)))


def _alerts_in(path: Path) -> Iterator[Alert]:
    decoder = msgspec.json.Decoder(Alert)
    for number, line in enumerate(lines_of(path), 1):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            cure = "name a file of alerts, as burstwatch replay --alerts writes it"
            raise NoAlertError(f"{path} line {number} is no alert: {error}; {cure}") from error
