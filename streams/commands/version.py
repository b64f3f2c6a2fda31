"""``burstwatch version``: which Burstwatch this is, and what it runs on."""

from __future__ import annotations

import platform
from importlib.metadata import version as version_of

import typer


def version() -> None:
    """Print the versions of Burstwatch, Python and the libraries that decide results."""
    typer.echo(f"burstwatch {version_of('burstwatch')}")
    libraries = ("numpy", "scikit-learn", "faust-streaming", "aiokafka", "genai-prices")
    typer.echo(
        ", ".join([f"python {platform.python_version()}", *(f"{name} {version_of(name)}" for name in libraries)])
    )
