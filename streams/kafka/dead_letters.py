"""What receivers refused for good on Kafka, as the outbox keeps it, and what of it is asked for already."""

from __future__ import annotations

from msgspec.structs import replace

from streams.configuration.kafka_settings import KafkaSettings
from streams.delivery.outbox import DeadLetter
from streams.kafka.deliver import Asked
from streams.kafka.saved_outbox import read_outbox
from streams.kafka.send_again import asked_for


async def read_dead_letters(settings: KafkaSettings) -> list[DeadLetter]:
    """Return what nobody has sent again, oldest first.

    Raises
    ------
    LookupError
        If a topic is not there, or the outbox cannot be read.
    """
    seen = await read_outbox(settings)
    letters = seen.outbox.dead_letters() if seen else []
    if not letters:
        return []
    asked = await asked_for(settings)
    return [replace(letter, is_asked=Asked(letter.number, letter.at_seconds) in asked) for letter in letters]
