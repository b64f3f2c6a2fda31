"""The command line: ``burstwatch``. One file a command; what is heavy is imported when a command runs."""

from __future__ import annotations

import typer

from streams.commands.check import check
from streams.commands.dead_letters import dead_letters
from streams.commands.demo import demo
from streams.commands.feedback import feedback
from streams.commands.incidents import incidents
from streams.commands.intake import intake
from streams.commands.publish import publish
from streams.commands.replay import replay
from streams.commands.run import run
from streams.commands.score import score
from streams.commands.status import status
from streams.commands.topics import topics
from streams.commands.version import version
from streams.commands.worker import worker
from streams.memory import tune_memory

app = typer.Typer(
    name="burstwatch",
    help="Pages minutes after a burst of AI spend starts, with its cause and its approver.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, replay, score, check, run, worker, incidents, feedback, dead_letters, publish, status, version):
    app.command()(command)
app.command(hidden=True)(intake)
app.add_typer(topics, name="topics")


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 called wrongly."""
    tune_memory()
    app()
