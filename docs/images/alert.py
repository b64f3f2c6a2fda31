"""Draws alert.png: an alert of the demo as Slack shows it, above its picture in the report. Needs Chromium.

Usage, from the root, after ``make demo``: ``.venv/bin/python docs/images/alert.py [SERVICE]``
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from detectors.events import Alert
from streams.notifiers.message import message_of
from streams.notifiers.slack_blocks import blocks_of, sign_of
from streams.report.incidents import gather

DEMO = Path("out/demo")
PICTURE = Path(__file__).with_name("alert.png")
SERVICE = "claim-summary"
WIDTH, HEIGHT = 940, 740

STYLE = """
html { overflow: hidden; } body { background: #fff; }
main { padding: 0 24px; max-width: none; }
main > :not(.cards), .cards > h2, .cards > .card:not(#CARD), #CARD > :not(:nth-child(4)), figcaption .note
  { display: none !important; }
.card { border: 0; padding: 0; margin: 0; } .field { height: 11rem !important; }
.slack { font: 15px/1.5 Lato, system-ui, sans-serif; margin: 20px 24px 14px; padding: 2px 0 2px 16px;
  border-left: 4px solid #ddd; overflow-wrap: normal; }
.slack i { display: inline-block; width: 15px; height: 15px; margin-right: 8px; border-radius: 50%;
  background: #dd2e44; }
.slack h1 { font-size: 18px; margin: 0 0 8px; } .slack p { margin: 0 0 8px; } .slack b { margin-right: .25rem; }
.slack a { color: #1264a3; text-decoration: none; } .slack small { color: #616061; font-size: 12px; }
"""


def mrkdwn(text: str) -> str:
    """Return Slack's markup as HTML; its entities are HTML's already."""
    text = re.sub(r"<(https?://[^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', text)
    return re.sub(r"(?m)^\*([^*]+)\*", r"<b>\1</b>", text).replace("\n", "<br>")


def slack_html(alert: Alert) -> str:
    """Return the blocks that Slack is sent, as HTML."""
    drawn = []
    for block in blocks_of(sign_of(alert), message_of(alert)):
        match block:
            case {"type": "header", "text": {"text": text}}:
                drawn.append(f"<h1><i></i>{html.escape(text.lstrip('🔴 '))}</h1>")
            case {"type": "section", "text": {"text": text}}:
                drawn.append(f"<p>{mrkdwn(text)}</p>")
            case {"type": "context", "elements": [{"text": text}]}:
                drawn.append(f"<small>{mrkdwn(text)}</small>")
    return f'<div class="slack">{"".join(drawn)}</div>'


def page_of(service: str) -> str:
    """Return the report of the demo with only one incident's picture, below its alert."""
    alerts = [msgspec.json.decode(line, type=Alert) for line in (DEMO / "alerts.ndjson").read_bytes().splitlines()]
    paged = [incident for incident in gather(alerts) if incident.severity == "page"]
    numbers = [n for n, incident in enumerate(paged, 1) if incident.scope.get("service") == service]
    if not numbers:
        sys.exit(f"no page for {service}; there is one for: {', '.join(i.scope.get('service', '-') for i in paged)}")
    report = (DEMO / "report.html").read_text("utf-8")
    style = f"<style>{STYLE.replace('CARD', f'incident-{numbers[0]}')}</style>"
    message = slack_html(paged[numbers[0] - 1].raised)
    return report.replace("</head>", f"{style}</head>", 1).replace("<main>", f"{message}<main>", 1)


def draw(service: str) -> None:
    """Write the picture."""
    with TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(page_of(service), encoding="utf-8")
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars")
        quiet = ("--disable-background-networking", f"--user-data-dir={folder}/profile")
        size = (f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={PICTURE}")
        command = ["chromium", *flags, *quiet, *size, page.as_uri()]
        subprocess.run(command, check=True, timeout=120, capture_output=True)  # noqa: S603 — our own words


if __name__ == "__main__":
    draw(*sys.argv[1:] or [SERVICE])
