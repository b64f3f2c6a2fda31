"""Somebody's decision on an alert, sent to a running service."""

from __future__ import annotations

import aiohttp
import msgspec

from detectors.events import Feedback
from streams.sources.http import Receipt

_TIMEOUT_SECONDS = 20


class FeedbackRefusedError(Exception):
    """The service did not take the decision; the sentence says why."""


async def send_feedback(url: str, token: str | None, said: Feedback) -> None:
    """Send a decision to ``burstwatch run``; return once it is on its disk.

    Raises
    ------
    FeedbackRefusedError
        If the service refuses it, or cannot be reached.
    """
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{url}/v1/feedback", data=msgspec.json.encode(said), headers=headers) as answer,
        ):
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise FeedbackRefusedError(f"nobody answers at {url} ({error}): is burstwatch run up?") from error
    if answer.status != 202:
        raise FeedbackRefusedError(_why(answer.status, body))


def _why(status: int, body: bytes) -> str:
    try:
        return "; ".join(event.detail for event in msgspec.json.decode(body, type=Receipt).rejected)
    except msgspec.DecodeError:
        return f"the service answers {status}: {body[:200].decode(errors='replace')}"
