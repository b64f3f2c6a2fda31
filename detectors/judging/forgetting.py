"""Forgetting labels of which nothing was heard for long, so that whoever makes up labels grows no state for ever.

When a day begins, what nothing was heard of for so long is forgotten: keys, services and sources. What comes back is
new. Services and sources are numbered anew at once. The row of a key is nobody's from then on (a key that comes back
has another one), and goes once a good part of all rows are: for whoever asks, it is gone either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.clock import NEVER
from detectors.judging.accounts import NOBODY, Accounts
from detectors.watch.forgetting import are_worth_dropping


class Forgotten(NamedTuple):
    """What was forgotten, and the former numbers of what stays: rising, in the places of the new ones."""

    keys: NDArray[np.intp]
    """The rows of keys that are nobody's now."""
    services_kept: NDArray[np.intp]
    sources_kept: NDArray[np.intp]


def forget(accounts: Accounts, before: int) -> Forgotten | None:
    """Forget keys, services and sources of which nothing was heard since a minute; None if there are none.

    Parameters
    ----------
    accounts
        All that became known is noted in them; changed.
    before
        What was heard of in this minute or later stays.
    """
    gone = np.flatnonzero((accounts.last < before) & (accounts.service > NOBODY))
    sources = np.flatnonzero(accounts.source_last >= before)
    if not len(gone) and len(sources) == len(accounts.sources):
        return None
    accounts.service[gone] = NOBODY
    accounts.first[gone] = accounts.last[gone] = NEVER
    there = np.zeros(len(accounts.services), bool)
    there[accounts.service[accounts.service > NOBODY]] = True
    services = np.flatnonzero(there)
    if len(services) < len(accounts.services):
        accounts.service = numbers_after(services, len(accounts.services))[accounts.service]
        accounts.services = _those(accounts.services, services)
    accounts.sources, accounts.source_last = _those(accounts.sources, sources), accounts.source_last[sources]
    return Forgotten(gone, services, sources)


def _those(names: Mapping[str, int], kept: NDArray[np.intp]) -> dict[str, int]:
    """Return numbers by name of those that stay."""
    every = list(names)
    return {every[former]: number for number, former in enumerate(kept.tolist())}


def numbers_after(kept: NDArray[np.intp], before: int) -> NDArray[np.int32]:
    """Return new numbers by former ones, -1 for what is gone; and -1 once more at the end, so that -1 stays -1.

    Parameters
    ----------
    kept
        Former numbers of what stays, rising.
    before
        How many there were.

    Examples
    --------
    >>> numbers_after(np.array([1, 2]), 4)[[2, 3, -1]].tolist()
    [1, -1, -1]
    """
    numbers = np.full(before + 1, -1, np.int32)
    numbers[kept] = np.arange(len(kept))
    return numbers


def rows_to_keep(accounts: Accounts) -> NDArray[np.intp] | None:
    """Return the rows of keys that are not forgotten, rising, if so many others are that these are to go; else None."""
    rows = np.flatnonzero(accounts.service > NOBODY)
    gone = len(accounts.keys) - len(rows)
    return rows if are_worth_dropping(gone, len(accounts.keys)) else None


def keep_rows(accounts: Accounts, rows: NDArray[np.intp]) -> None:
    """Number keys anew: those of some rows, rising."""
    accounts.keys = [accounts.keys[row] for row in rows.tolist()]
    accounts.service, accounts.first = accounts.service[rows], accounts.first[rows]
    accounts.last = accounts.last[rows]
