"""What an agent does with a partition's inputs: a pure stage and its state, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from detectors.clock import NEVER
from detectors.events import Alert, Feedback
from detectors.incidents.state import IncidentsState
from detectors.state.pages import Pages, Part, StatePages
from detectors.watch.reports import MinuteReport
from streams.kafka.lease import REBUILD, StateError


class Work(Protocol):
    """What an agent does with one partition's inputs: a state that changes by input and can be saved."""

    def load(self, pages: Pages) -> None:
        """Begin with a saved state, whose pages are taken out, or anew where there are none."""

    def take(self, data: bytes) -> list[bytes]:
        """Apply an input; return outputs."""

    def changes(self) -> Iterable[Part]:
        """Give what has changed of the state since this was last asked; no input comes until all is taken."""

    def notes(self) -> Sequence[bytes]:
        """Return messages that go out with what has just changed and follow from no input; each once."""

    def reached(self) -> int | None:
        """Return the minute that the state has come to, or None where that is not said."""


S = TypeVar("S")
GivenT = TypeVar("GivenT", contravariant=True)  # noqa: PLC0105 — reads as what it is
MadeT = TypeVar("MadeT")


class Stage(Protocol[S, GivenT, MadeT]):
    """A pure stage."""

    def start(self) -> S:
        """Return the state before any input."""
        ...

    def step(self, state: S, given: GivenT, /) -> tuple[S, list[MadeT]]:
        """Apply an input."""
        ...

    def pages(self) -> StatePages[S]:
        """Return what writes and reads a state."""
        ...


class StageWork(Generic[S, GivenT, MadeT]):
    """A pure stage as :class:`Work`.

    Parameters
    ----------
    stage
        The stage.
    read
        Bytes of a message to an input.
    write
        An output to the bytes of one message or several.
    minute_of
        The minute that a state has come to, ``NEVER`` before there is one.
    """

    def __init__(
        self,
        stage: Stage[S, GivenT, MadeT],
        read: Callable[[bytes], GivenT],
        write: Callable[[MadeT], Sequence[bytes]],
        minute_of: Callable[[S], int],
    ) -> None:
        self._stage = stage
        self._read = read
        self._write = write
        self._minute_of = minute_of
        self._book = stage.pages()
        self.state = stage.start()

    def load(self, pages: Pages) -> None:
        """Begin with a saved state, or anew."""
        self._book = self._stage.pages()
        if not pages:
            self.state = self._stage.start()
            return
        try:
            self.state = self._book.load(pages)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise StateError(
                f"the saved state was written with other settings or by another version ({error}): set them back, or "
                f"{REBUILD}"
            ) from error

    def take(self, data: bytes) -> list[bytes]:
        """Apply an input; return outputs."""
        self.state, made = self._stage.step(self.state, self._read(data))
        return [message for output in made for message in self._write(output)]

    def changes(self) -> Iterable[Part]:
        """Give what has changed of the state since this was last asked."""
        return self._book.changes(self.state)

    def notes(self) -> Sequence[bytes]:
        """Return nothing: all that goes out follows from input."""
        return ()

    def reached(self) -> int | None:
        """Return the minute that the state has come to."""
        minute = self._minute_of(self.state)
        return None if minute == NEVER else minute


class IncidentsWork(StageWork[IncidentsState, MinuteReport, Alert]):
    """The incidents stage, which also tells of decisions on alerts that nobody knows.

    Parameters
    ----------
    stage
        The incidents stage.
    observe_refused
        Told of each such decision.
    """

    def __init__(
        self, stage: Stage[IncidentsState, MinuteReport, Alert], observe_refused: Callable[[Feedback], object]
    ) -> None:
        super().__init__(
            stage, MinuteReport.decode, lambda alert: [msgspec.json.encode(alert)], lambda state: state.done
        )
        self._observe_refused = observe_refused

    def take(self, data: bytes) -> list[bytes]:
        """Apply an input; return outputs."""
        outputs = super().take(data)
        for said in self.state.refused:
            self._observe_refused(said)
        return outputs
