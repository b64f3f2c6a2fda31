"""One POST: what is asked, how the answer is read, and what becomes of secrets in either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from streams.notifiers.message import clip
from streams.notifiers.notifier import Http, Refused, Secret, TryAgain, seconds_of

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES = 262_144
ANSWER_CHARACTERS = 500
_LATER = frozenset({408, 425, 429})
"""Request timeout, too early, too many requests: it was not taken."""


@asynccontextmanager
async def open_http(timeout_seconds: float = 10.0) -> AsyncIterator[Http]:
    """Open a session for all notifiers: no cookies, proxies from the environment, one timeout for a whole exchange."""
    import aiohttp  # noqa: PLC0415 — a third of a second that only those pay who send

    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True) as http:
        yield http


async def post(
    http: Http,
    url: str | Secret,
    content: bytes | Mapping[str, object],
    headers: Mapping[str, str | Secret] | None = None,
    hidden: Sequence[Secret] = (),
) -> str:
    """POST JSON; return the answer's text (at most 256 kB), in which the secrets are blotted out.

    Parameters
    ----------
    http
        Session to use.
    url
        Where to; a secret if it grants access.
    content
        JSON, or what to make it of; a secret in it is sent as its value.
    headers
        Further headers; a secret is sent as a bearer token.
    hidden
        Further secrets that an answer might repeat.

    Raises
    ------
    TryAgain
        If there was no answer, or one that says later: 408, 425, 429 or 5xx.
    Refused
        If it was any other but 2xx.
    """
    headers = headers or {}
    inside = content.values() if isinstance(content, Mapping) else ()
    secrets = [secret for secret in (url, *headers.values(), *inside, *hidden) if isinstance(secret, Secret)]
    answered = await _exchange(http, url, content, headers, secrets)
    if isinstance(answered, TryAgain):  # raised here, so that no traceback leads to an exception that holds the URL
        raise answered
    answer = clip(f"HTTP {answered.status}: {answered.text}".removesuffix(": "), ANSWER_CHARACTERS)
    if answered.status in _LATER:
        raise TryAgain(answer, answered.retry_after_seconds)
    if answered.status >= 500:
        raise TryAgain(answer, answered.retry_after_seconds, maybe_arrived=True)
    if not 200 <= answered.status < 300:
        raise Refused(answer)
    return answered.text


def encode(content: bytes | Mapping[str, object]) -> bytes:
    """Return content as JSON, with the values of its secrets."""
    return content if isinstance(content, bytes) else msgspec.json.encode(content, enc_hook=_reveal)


class _Answered(msgspec.Struct, frozen=True):
    status: int
    retry_after_seconds: float | None
    text: str


async def _exchange(
    http: Http,
    url: str | Secret,
    content: bytes | Mapping[str, object],
    headers: Mapping[str, str | Secret],
    secrets: Sequence[Secret],
) -> _Answered | TryAgain:
    """Reveal the secrets, ask, and return an answer without them; no exception comes out with this frame in it."""
    import aiohttp  # noqa: PLC0415 — it was imported when the session was opened

    try:
        async with http.post(
            _reveal(url) if isinstance(url, Secret) else url,
            data=encode(content),
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "burstwatch",
                **{k: f"Bearer {v.reveal()}" if isinstance(v, Secret) else v for k, v in headers.items()},
            },
            allow_redirects=False,
        ) as response:
            text = await _beginning_of(response.content)
            for secret in secrets:
                text = secret.hide_in(text)
            return _Answered(response.status, seconds_of(response.headers.get("Retry-After")), text.strip())
    except aiohttp.ClientConnectorError as error:
        return TryAgain(f"no connection ({type(error).__name__})")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return TryAgain(f"no answer ({type(error).__name__})", maybe_arrived=True)


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"JSON has no {type(value).__name__}")


async def _beginning_of(content: aiohttp.StreamReader) -> str:
    """Return as much of an answer as anybody needs: whoever answers may not fill our memory."""
    answer = b""
    while len(answer) < ANSWER_BYTES and (chunk := await content.read(ANSWER_BYTES - len(answer))):
        answer += chunk
    return answer.decode("utf-8", "replace")
