"""Intake alone: bytes decoded, checked, priced and cut into frames, against orjson and a plain loop of sums."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

from detectors.intake.raw import RawMessage
from streams.app import build_stages, plan_of
from streams.configuration.catalogue import build_prices
from streams.configuration.settings import load
from tests.benchmarks.clocked import best_of, rates
from tests.benchmarks.places import CACHE, ROOT, peers_python

SAMPLE = ROOT / "tests" / "sample" / "usage.ndjson.gz"
AT_ONCE = 17_000
"""Events given to intake at once, about as from Kafka."""

T = TypeVar("T")


def main(words: list[str]) -> None:
    """Measure and print."""
    lines = gzip.decompress(SAMPLE.read_bytes()).splitlines()
    packed = [b"[" + b",".join(part) + b"]" for part in _parts(lines, 100)]
    size = sum(map(len, lines)) / len(lines)
    for how, messages in ((f"single events of {size:.0f} bytes", lines), ("arrays of 100 events", packed)):
        events, seconds = _ours(messages, len(lines))
        peer_events, peer_seconds = _peer(messages)
        sys.stdout.write(f"{len(lines):,} events, {how}\n\n")
        table = [("intake", events, seconds), ("orjson and a loop of sums", peer_events, peer_seconds)]
        sys.stdout.write(rates(table, "events") + "\n\n")


def _ours(messages: list[bytes], events: int) -> tuple[int, float]:
    settings = load(ROOT / "config")
    intake = build_stages(plan_of(settings), build_prices(settings.prices)).intake
    raw = [RawMessage("usage", 0, n, message) for n, message in enumerate(messages)]

    def all_of_them() -> int:
        state, taken = intake.start(), 0
        for part in _parts(raw, max(AT_ONCE * len(raw) // events, 1)):
            state, output = intake.step(state, part)
            taken += output.taken
        return taken

    seconds, taken = best_of(3, all_of_them)
    return taken, seconds


def _parts(items: list[T], size: int) -> list[list[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _peer(messages: list[bytes]) -> tuple[int, float]:
    python = peers_python("orjson", ["orjson"])
    given = CACHE / "messages.ndjson"
    given.write_bytes(b"\n".join(messages))
    script = Path(__file__).parent / "peers" / "orjson_loop.py"
    said = subprocess.run([python, script, given], check=True, capture_output=True, text=True).stdout
    measured = json.loads(said)
    return measured["events"], measured["seconds"]
