"""``make bench-incidents``: worlds, the product, its peers, and the tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmarks.incidents import tables
from tests.benchmarks.incidents.runs import Run, Variant, clean_pages_by_detector, run, scored
from tests.benchmarks.incidents.worlds import DEVELOPER_WORLDS, burstbench, burstbench_python, ready_worlds
from tests.benchmarks.places import CACHE, say


def main(words: list[str]) -> None:
    """Measure and print."""
    args = _arguments(words)
    worlds = ready_worlds(args.plan, args.worlds)
    burstbench_python()
    written: list[str] = []

    def tell(*paragraphs: str) -> None:
        for paragraph in paragraphs:
            written.append(paragraph)
            sys.stdout.write(paragraph + "\n\n")
            sys.stdout.flush()

    for pages in args.budgets:
        _budget(pages, worlds, args, tell)
    args.markdown.parent.mkdir(parents=True, exist_ok=True)
    args.markdown.write_text("\n\n".join(written) + "\n")
    say(f"Written: {args.markdown}")


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-incidents", description=__doc__)
    parser.add_argument("--worlds", type=_names, default=["mix-*", "dev-*"], help="names with commas; * and ? allowed")
    parser.add_argument(
        "--plan", type=Path, default=DEVELOPER_WORLDS, help="YAML of worlds; the shipped one if not given"
    )
    parser.add_argument("--budgets", type=_numbers, default=[3.0], help="pages a week, with commas: 1,3,10")
    parser.add_argument("--without", type=_names, default=[], metavar="KINDS",
                        help="also run without each of these detectors, and print what each adds")  # fmt: skip
    parser.add_argument("--no-peers", action="store_true", help="leave the simple detectors out")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="worlds at once; 1 to measure time")
    parser.add_argument("--markdown", type=Path, default=CACHE / "incidents" / "table.md", help="where it is kept")
    return parser.parse_args(words)


def _names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _budget(pages: float, worlds: list[Path], args: argparse.Namespace, tell: Callable[..., None]) -> None:
    runs = _runs(Variant(pages), worlds, args.jobs)
    tell(f"## At {pages:g} pages a week")
    judged = {name: scored(part) for name, part in _families(runs).items()}
    summaries = {f"Burstwatch, {name}": result["summary"] for name, result in judged.items()}
    tell(tables.summary_table({**summaries, **({} if args.no_peers else _peers(pages, worlds))}))
    if not args.no_peers:
        tell("The peers' thresholds are set on these very worlds, which favours them; Burstwatch's are not.")
    for name, result in judged.items():
        rows = [{**row, "world": w["world"]} for w in result["worlds"] for row in w["incidents"]]
        tell(f"### {name}: {', '.join(w['world'] for w in result['worlds'])}")
        tell(tables.recall_table(rows, "kind"), tables.recall_table(rows, "strength"), tables.missed_table(rows))
    by_detector = clean_pages_by_detector(runs)
    tell(
        "Clean pages by detector: "
        + (", ".join(f"{n} {kind}" for kind, n in by_detector.most_common()) or "none")
        + "."
    )
    tell(tables.cost_line(runs) + f" {args.jobs} at once.")
    if args.without:
        without = {kind: scored(_runs(Variant(pages, (kind,)), worlds, args.jobs))["summary"] for kind in args.without}
        tell(
            f"### What each detector adds, at {pages:g} a week", tables.marginal_table(scored(runs)["summary"], without)
        )


def _runs(variant: Variant, worlds: list[Path], jobs: int) -> list[Run]:
    def one(world: Path) -> Run:
        done = run(variant, world)
        say(f"{variant.name}  {world.name}  {sum(usage.wall_seconds for usage in done.usage):.0f} s")
        return done

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, worlds))


def _families(runs: list[Run]) -> dict[str, list[Run]]:
    """Group runs by what stands before the number in their world's name."""
    families: dict[str, list[Run]] = {}
    for each in runs:
        families.setdefault(each.world.name.rpartition("-")[0], []).append(each)
    return families


def _peers(pages: float, worlds: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the simple detectors' summaries, family by family."""
    found: dict[str, dict[str, Any]] = {}
    families: dict[str, list[Path]] = {}
    for world in worlds:
        families.setdefault(world.name.rpartition("-")[0], []).append(world)
    for family, members in families.items():
        say(f"Peers on {family}")
        out = CACHE / "incidents" / f"peers_{family}_{pages:g}.json"
        burstbench("peers", "--world", *members, "--budget", f"{pages:g}", "--json", out)
        for name, summary in json.loads(out.read_text()).items():
            found[f"{name.rpartition('@')[0]}, {family}"] = summary
    return found
