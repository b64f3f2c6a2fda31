"""The option ``--config`` of every command, and reading what it names."""

# ruff: noqa: PLC0415 — settings know all detectors and so import numpy and scikit-learn: only when a command runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.endings import fail

if TYPE_CHECKING:
    from streams.configuration.settings import Settings

ConfigFolder = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FOLDER",
        help="Folder of burstwatch.yaml and its neighbours. Without it: ./config, else what is shipped.",
    ),
]


def load_or_exit(config: Path | None, initiatives: Path | None = None) -> Settings:
    """Read the configuration; print every mistake and exit with 1 if it has any."""
    from streams.configuration.settings import ConfigError, find_folder, load

    try:
        settings = load(find_folder(config), initiatives=initiatives)
    except ConfigError as error:
        typer.echo(error, err=True)
        errors = sum(mistake.severity == "error" for mistake in error.mistakes)
        raise fail(f"the configuration has {errors} {'mistake' if errors == 1 else 'mistakes'}, see above") from error
    for warning in settings.warnings:
        typer.echo(warning, err=True)
    return settings
