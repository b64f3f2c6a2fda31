"""Where alerts go. One file a notifier, all of one shape; this is the list of them.

To add one: a file with its settings (a :class:`NotifierSettings` with a ``tag``) and its :class:`Notifier`, its
settings' name in :data:`ReceiverSettings`, and a server that enforces its contract under ``tests/contracts``.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.notifiers.console import ConsoleSettings
from streams.notifiers.notifier import Notifier, ReceiverError
from streams.notifiers.pagerduty import PagerDutySettings
from streams.notifiers.slack import SlackSettings
from streams.notifiers.webhook import WebhookSettings

__all__ = [
    "ConsoleSettings",
    "Notifier",
    "PagerDutySettings",
    "ReceiverError",
    "ReceiverSettings",
    "SlackSettings",
    "WebhookSettings",
    "open_receivers",
]

ReceiverSettings = ConsoleSettings | PagerDutySettings | SlackSettings | WebhookSettings
"""Every kind of receiver that ``routes.yaml`` may name, by its ``type``."""


def open_receivers(receivers: Mapping[str, ReceiverSettings], environ: Mapping[str, str]) -> dict[str, Notifier]:
    """Return the notifiers of all receivers, with their secrets from the environment.

    Raises
    ------
    ReceiverError
        If any has a secret that is missing or of no use; the text names every one.

    Examples
    --------
    >>> sorted(open_receivers({"terminal": ConsoleSettings()}, {}))
    ['terminal']
    """
    opened: dict[str, Notifier] = {}
    wrong: list[str] = []
    for name, settings in receivers.items():
        try:
            opened[name] = settings.open(environ)
        except ReceiverError as error:
            wrong.append(f"receivers.{name}: {error}")
    if wrong:
        raise ReceiverError("; ".join(wrong))
    return opened
