"""Cut a sample for the demo out of a burstbench world: some services, byte for byte, in order of arrival.

Run as ``python tests/sample/cut.py WORLD [OUT]``; WORLD is the folder of ``dev-3``. The same world gives the same
bytes each time.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import yaml

STRUCK = ("claim-summary", "voice-answers", "voice-tagger")
"""Services with an incident in the fortnight."""
CLEAN = (
    "chat-digest",
    "chat-rewrite",
    "code-router",
    "doc-extract",
    "doc-review",
    "fraud-extract",
    "lead-rewrite",
    "lead-tagger",
    "offer-router",
    "voice-digest",
    "voice-rank",
)
"""Services without one; what happens to them is lawful."""


def cut(world: Path, out: Path, services: frozenset[str]) -> None:
    """Write the sample's three files.

    Parameters
    ----------
    world
        Folder of a burstbench world.
    out
        Where ``usage.ndjson.gz``, ``deployments.ndjson`` and ``initiatives.yaml`` go.
    services
        Which services to keep, each with all of its events, deployments and initiatives.
    """
    with (
        gzip.open(world / "usage.ndjson.gz") as events,
        (out / "usage.ndjson.gz").open("wb") as file,
        # No name and no time in the header, so that the same cut gives the same bytes.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as kept,
    ):
        kept.writelines(line for line in events if json.loads(line)["service"] in services)
    deployments = (world / "deployments.ndjson").read_text().splitlines(keepends=True)
    (out / "deployments.ndjson").write_text("".join(d for d in deployments if json.loads(d)["service"] in services))
    declared = yaml.safe_load((world / "initiatives.yaml").read_text())["initiatives"]
    mine = [initiative for initiative in declared if initiative["match"].get("service") in services]
    (out / "initiatives.yaml").write_text(yaml.safe_dump({"initiatives": mine}, sort_keys=False))


def main() -> None:
    """Read the command line and cut."""
    words = argparse.ArgumentParser(description="Cut the demo's sample out of a burstbench world.")
    words.add_argument("world", type=Path, help="folder of the world dev-3")
    words.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent)
    given = words.parse_args()
    cut(given.world, given.out, frozenset(STRUCK + CLEAN))


if __name__ == "__main__":
    main()
