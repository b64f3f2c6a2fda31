"""The console: an alert in a frame, as a person would get it. For a first run, for the demo, and for trying routes."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console as Terminal
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from detectors.events import Alert
from streams.notifiers.digest import Digest, message_of_digest
from streams.notifiers.message import Message, message_of
from streams.notifiers.notifier import Http, Memo, Notifier, NotifierSettings, Sent

_COLOURS = {"page": "red", "ticket": "yellow", "info": "blue"}


class ConsoleSettings(NotifierSettings, frozen=True, tag="console"):
    """Standard output."""

    def open(self, environ: Mapping[str, str]) -> Notifier:
        """Return the notifier; it needs no secrets."""
        return Console()


class Console(Notifier):
    """Prints every word of an alert.

    Parameters
    ----------
    terminal
        Where to; standard output if none is given.
    """

    def __init__(self, terminal: Terminal | None = None) -> None:
        self._terminal = terminal or Terminal()

    async def send(self, http: Http, alert: Alert, memo: Memo | None, possible_duplicate: bool) -> Sent:
        """Print the alert."""
        self._terminal.print(panel_of(alert, possible_duplicate))
        return Sent(memo)

    async def send_digest(self, http: Http, digest: Digest, possible_duplicate: bool) -> Sent:
        """Print the digest."""
        self._terminal.print(_framed(message_of_digest(digest, possible_duplicate), _COLOURS["info"]))
        return Sent()


def panel_of(alert: Alert, possible_duplicate: bool = False) -> Panel:
    """Return an alert in a frame, for a rich console."""
    return _framed(message_of(alert, possible_duplicate), colour_of(alert))


def colour_of(alert: Alert) -> str:
    """Return the colour that shows an alert's severity, or that it is over."""
    return "green" if alert.state == "resolved" else _COLOURS[alert.severity]


def body_of(message: Message, colour: str) -> Group:
    """Return a message without its frame and its footer: headline, facts, what to do, links."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column(overflow="fold")
    for fact in message.facts:
        lines.add_row(fact.name, Text(fact.text))
    if message.action:
        lines.add_row("Do now", Text(message.action, style="bold"))
    for link in message.links:
        lines.add_row(Text(link.name), Text(link.url, style="underline"))
    return Group(Text(message.headline, style=f"bold {colour}", overflow="fold"), lines)


def _framed(message: Message, colour: str) -> Panel:
    told = body_of(message, colour)
    return Panel(told, subtitle=Text(message.footer, style="dim"), subtitle_align="right", border_style=colour)
