"""``burstwatch intake``: what takes events in for a worker, which starts it; people never do."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

from streams.commands.logs import set_up_logs


def intake() -> None:
    """Take events from Kafka for the worker that started this, as it says on standard input."""
    from streams.kafka.intake_process import take_in

    set_up_logs()
    take_in()
