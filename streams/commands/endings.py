"""How a command ends badly: one line that says what is wrong and what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

FAILED = 1
_KAFKA_LIBRARIES = ("aiokafka", "kafka")
"""Their errors are known by name: importing them here would slow every command."""


def fail(sentence: str) -> typer.Exit:
    """Print why on standard error; raise what this returns.

    Examples
    --------
    >>> fail("no broker").exit_code
    1
    """
    typer.echo(f"burstwatch: {sentence}", err=True)
    return typer.Exit(FAILED)


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
        sentence = " ".join(str(error).split()) or type(error).__name__
        raise fail(f"{sentence}; {cure}" if cure else sentence) from error


@contextmanager
def reaching_kafka(brokers: str) -> Iterator[None]:
    """Turn what Kafka's libraries raise into one line; everything else passes."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        library = type(error).__module__.partition(".")[0]
        if library in _KAFKA_LIBRARIES:
            cure = f"is Kafka at {brokers}? Set kafka.brokers in burstwatch.yaml, or start it"
            raise fail(f"{type(error).__name__}: {' '.join(str(error).split())}; {cure}") from error
        if isinstance(error, OSError) or type(error).__name__ == "SecretMissingError":
            raise fail(str(error)) from error
        raise
