"""Prometheus' own checker, which knows better than we do what it accepts."""

import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    """Run it; return what it complains of, nothing if all is well."""
    if shutil.which("promtool") is None:
        pytest.fail("promtool is not here: install Debian's package prometheus, or Prometheus' release archive")
    told = subprocess.run(["promtool", *arguments], input=given, capture_output=True, check=False)
    printed = (told.stdout + told.stderr).decode()
    is_lint = arguments == ("check", "metrics")
    return printed if told.returncode or is_lint else ""
