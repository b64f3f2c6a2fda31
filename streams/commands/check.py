"""``burstwatch check``: every mistake in the configuration at once, as a compiler prints them."""

# ruff: noqa: PLC0415 — what is heavy is imported when the command runs

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from streams.commands.configured import ConfigFolder
from streams.commands.endings import FAILED

if TYPE_CHECKING:
    from streams.configuration.settings import Settings


def check(config: ConfigFolder = None) -> None:
    """Name every mistake in the configuration, with its line; exit with 1 if there is any."""
    from streams.configuration.settings import ConfigError, find_folder, load

    try:
        settings = load(find_folder(config), now=datetime.now(UTC))
    except ConfigError as error:
        typer.echo(error)
        errors = sum(mistake.severity == "error" for mistake in error.mistakes)
        warnings = len(error.mistakes) - errors
        typer.echo(f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}")
        raise typer.Exit(FAILED) from error
    for warning in settings.warnings:
        typer.echo(warning)
    typer.echo(_in_words(settings))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun if count == 1 else noun + 's'}"


def _in_words(settings: Settings) -> str:
    """Return what is configured, a line a matter."""
    budget = settings.page_budget
    views = (", ".join(f"[{' '.join(view)}]" for view in settings.views)).replace("[]", "[everything]")
    return "\n".join(
        (
            f"{settings.folder}: no mistakes",
            f"  organisation  {settings.organisation}, {budget.pages:g} pages a {budget.per}",
            f"  views         {views}",
            f"  detectors     {', '.join(detector.title for detector in settings.detectors)}",
            f"  receivers     {', '.join(settings.routes.receivers)}; {_counted(len(settings.routes.routes), 'route')}",
            f"  initiatives   {len(settings.initiatives)}",
            f"  prices        {len(settings.prices)} of your own, then the public catalogue",
        )
    )
