"""Where benchmarks keep what they make, and the environments of the peers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"


def peers_python(name: str, packages: list[str]) -> Path:
    """Return the interpreter of an environment that holds the packages; made once, anew when they change."""
    wanted = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()
    folder = CACHE / "environments" / name
    python, stamp = folder / "bin" / "python", folder / "packages.sha256"
    if not (stamp.exists() and stamp.read_text() == wanted):
        say(f"Installing {', '.join(packages)} into {folder.relative_to(ROOT)}")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return python


def say(line: str) -> None:
    """Print progress to standard error, so that standard output holds the figures alone."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
