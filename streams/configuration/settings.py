"""A folder of configuration, read and checked: every mistake in every file at once.

``burstwatch.yaml`` tunes detection and the service, ``routes.yaml`` says who is told, ``initiatives.yaml`` what
spend is meant for, ``prices.yaml`` what models cost. Only the first must be there, and it may be empty.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from detectors.events import Initiative
from detectors.kind import Kind
from detectors.kinds import KINDS
from detectors.rules import RULES
from streams.configuration.files import BurstwatchYaml, InitiativesYaml, Price, PricesYaml
from streams.configuration.mistakes import Mistake
from streams.configuration.sense import check_burstwatch, check_initiatives, check_prices, check_routes
from streams.configuration.yaml_check import Checker, Registry
from streams.delivery.routes import Routes
from streams.notifiers.console import ConsoleSettings

BURSTWATCH_YAML = "burstwatch.yaml"
ROUTES_YAML = "routes.yaml"
INITIATIVES_YAML = "initiatives.yaml"
PRICES_YAML = "prices.yaml"

REGISTRY: Registry = {Kind: ("kind", {**KINDS, **RULES})}

TO_THE_TERMINAL = Routes(receivers={"terminal": ConsoleSettings()}, default=("terminal",))
"""Who is told where a folder has no ``routes.yaml``."""

T = TypeVar("T")


class Settings(BurstwatchYaml, frozen=True, kw_only=True):
    """All files of a folder together, with what is odd in them but no mistake."""

    folder: Path
    routes: Routes
    initiatives: tuple[Initiative, ...] = ()
    prices: tuple[Price, ...] = ()
    warnings: tuple[Mistake, ...] = ()


class ConfigError(Exception):
    """A configuration that cannot be used.

    Parameters
    ----------
    mistakes
        All of them, warnings too, by file and line.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def load(folder: Path, *, initiatives: Path | None = None, now: datetime | None = None) -> Settings:
    """Read a folder of configuration.

    Parameters
    ----------
    folder
        Holds ``burstwatch.yaml`` and, where they are wanted, the other files.
    initiatives
        A file to read instead of the folder's ``initiatives.yaml``.
    now
        With it, initiatives that have expired are warned of.

    Raises
    ------
    ConfigError
        With every mistake in every file.

    Examples
    --------
    >>> load(find_folder(None)).page_budget.per
    'week'
    """
    main = Checker(str(folder / BURSTWATCH_YAML), REGISTRY)
    declared = Checker(str(initiatives or folder / INITIATIVES_YAML))
    priced = Checker(str(folder / PRICES_YAML))
    routed = Checker(str(folder / ROUTES_YAML))
    burstwatch = _read(main, BurstwatchYaml)
    routes = _read(routed, Routes, otherwise=TO_THE_TERMINAL)
    initiatives_yaml = _read(declared, InitiativesYaml, otherwise=None if initiatives else InitiativesYaml())
    prices_yaml = _read(priced, PricesYaml, otherwise=PricesYaml())
    check_burstwatch(main)
    check_routes(routed, burstwatch.page_budget if burstwatch else None)
    check_initiatives(declared, now)
    check_prices(priced)
    checkers = (main, routed, declared, priced)
    mistakes = [m for checker in checkers for m in sorted(checker.mistakes, key=lambda m: m.line)]
    if any(mistake.severity == "error" for mistake in mistakes):
        raise ConfigError(mistakes)
    assert burstwatch and routes and initiatives_yaml and prices_yaml  # noqa: S101, PT018 — all are there: no mistake
    return Settings(
        **{name: getattr(burstwatch, name) for name in BurstwatchYaml.__struct_fields__},
        folder=folder,
        routes=routes,
        initiatives=initiatives_yaml.initiatives,
        prices=prices_yaml.prices,
        warnings=tuple(mistakes),
    )


def waits_for_restart(new: Settings, in_use: Settings, taken: Container[str]) -> tuple[str, ...]:
    """Return what differs of two readings and is not taken into use while a runtime runs.

    Parameters
    ----------
    new
        As the folder says now.
    in_use
        As it was at the start.
    taken
        Names of settings that the runtime takes into use, or has no use for.
    """
    fields = (name for name in new.__struct_fields__ if name not in ("folder", "warnings"))
    return tuple(name for name in fields if name not in taken and getattr(new, name) != getattr(in_use, name))


def find_folder(given: Path | None) -> Path:
    """Return the folder of configuration: the given one, else ``./config`` if it is one, else the shipped defaults."""
    here = Path("config")
    if given is not None:
        return given
    return here if (here / BURSTWATCH_YAML).is_file() else default_folder()


def default_folder() -> Path:
    """Return the configuration that is shipped: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "default_config"
    return packaged if packaged.is_dir() else package.parent / "config"


def _read(checker: Checker, kind: type[T], *, otherwise: T | None = None) -> T | None:
    """Read a file; where there is none, take what it is otherwise, and without that say so."""
    try:
        text = Path(checker.file).read_bytes()
    except FileNotFoundError:
        if otherwise is None:
            checker.add("", "no such file: create it (an empty one means all defaults), or name another folder")
        return otherwise
    except OSError as error:
        checker.add("", f"cannot be read: {error.strerror}")
        return None
    return checker.read(text, kind)
