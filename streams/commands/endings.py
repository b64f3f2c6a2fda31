"""How a command ends badly: one line that says what is wrong and what to do, and an exit code."""

# ruff: noqa: PLC0415 — Kafka's libraries are imported when a command uses them

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

FAILED = 1
_KAFKA_LIBRARIES = ("aiokafka", "kafka")
"""Their errors are known by where they come from, since these libraries stay in Kafka's room."""


def fail(sentence: str) -> typer.Exit:
    """Print why on standard error; raise what this returns.

    Examples
    --------
    >>> fail("no broker").exit_code
    1
    """
    typer.echo(f"burstwatch: {sentence}", err=True)
    return typer.Exit(FAILED)


def refuse_to_overwrite(
    made: Iterable[Path | None], given: Iterable[Path | None], cure: str = "name another file"
) -> None:
    """Fail if a file that a command makes is one that it reads.

    Parameters
    ----------
    made, given
        The files; None and ``-`` are none.
    cure
        What to do.
    """
    read = {path.resolve() for path in given if path is not None and str(path) != "-"}
    for path in made:
        if path is not None and path.resolve() in read:
            raise fail(f"{path} would overwrite what it is read from; {cure}")


@contextmanager
def one_line(*errors: type[Exception], cure: str = "") -> Iterator[None]:
    """Turn expected errors into one line, with a cure where their text has none.

    Parameters
    ----------
    errors
        Those that a user can mend; all others keep their traceback, since they are faults of ours.
    cure
        What to do, appended to the error's text.
    """
    try:
        yield
    except errors as error:
        raise fail(f"{_sentence_of(error)}; {cure}" if cure else _sentence_of(error)) from error


def _sentence_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"{error.strerror or error}; stop what listens there, or set http.port in burstwatch.yaml"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def reaching_kafka(brokers: str) -> Iterator[None]:
    """Turn what Kafka's libraries raise into one line; everything else passes."""
    from streams.kafka.client import SecretMissingError

    try:
        yield
    except Exception as error:
        sentence = _sentence_of(error)
        if type(error).__module__.partition(".")[0] in _KAFKA_LIBRARIES:
            cure = f"is Kafka at {brokers}? Start it, or set kafka.brokers in burstwatch.yaml"
            raise fail(f"{sentence}; {cure}") from error
        if isinstance(error, OSError | SecretMissingError):
            raise fail(sentence) from error
        raise
