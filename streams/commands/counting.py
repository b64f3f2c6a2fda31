"""A line on standard error that counts while a long command works."""

# ruff: noqa: PLC0415 — rich is imported when something is counted

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(unit: str, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how much was done, how fast and for how long; where nobody watches, nothing.

    Parameters
    ----------
    unit
        What is counted.
    quiet
        Show nothing.

    Yields
    ------
    Callable
        To be told how many more were done.
    """
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        """So many a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed or 0.0
            return Text(f"{speed:,.0f}/s", style="progress.data.speed")

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} " + unit), Speed(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(unit, total=None)

        def count(more: int) -> None:
            progress.advance(task, more)

        yield count
