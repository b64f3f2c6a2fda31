"""One POST: what is asked, how the answer is read, and what becomes of secrets in either."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from streams.notifiers.message import clip
from streams.notifiers.notifier import Refused, Secret, TryAgain, seconds_of

Http = aiohttp.ClientSession
"""A session that :func:`open_http` made."""

ANSWER_BYTES = 262_144
ANSWER_CHARACTERS = 500


@asynccontextmanager
async def open_http(timeout_seconds: float = 10.0) -> AsyncIterator[Http]:
    """Open a session for all notifiers: no cookies, proxies from the environment, one timeout for a whole exchange."""
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True) as http:
        yield http


async def post(
    http: Http,
    url: str | Secret,
    body: bytes,
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
    body
        JSON.
    headers
        Further headers; a secret is sent as a bearer token.
    hidden
        Further secrets that an answer might repeat.

    Raises
    ------
    TryAgain
        If there was no answer, or it was 429 or 5xx.
    Refused
        If it was any other but 2xx.
    """
    headers = headers or {}
    secrets = [s for s in (url, *headers.values(), *hidden) if isinstance(s, Secret)]
    outcome = await _exchange(http, url, body, headers)
    if isinstance(outcome, TryAgain):  # raised here so that no traceback leads to an exception that holds the URL
        raise outcome
    status, retry_after, text = outcome
    for secret in secrets:
        text = secret.hide_in(text)
    answer = clip(f"HTTP {status}: {text}" if text.strip() else f"HTTP {status}", ANSWER_CHARACTERS)
    if status == 429:
        raise TryAgain(answer, seconds_of(retry_after))
    if status >= 500:
        raise TryAgain(answer, seconds_of(retry_after), maybe_arrived=True)
    if not 200 <= status < 300:
        raise Refused(answer)
    return text


async def _exchange(
    http: Http, url: str | Secret, body: bytes, headers: Mapping[str, str | Secret]
) -> tuple[int, str | None, str] | TryAgain:
    try:
        async with http.post(
            url.reveal() if isinstance(url, Secret) else url,
            data=body,
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "burstwatch",
                **{k: f"Bearer {v.reveal()}" if isinstance(v, Secret) else v for k, v in headers.items()},
            },
            allow_redirects=False,
        ) as response:
            text = await _beginning_of(response.content)
            return response.status, response.headers.get("Retry-After"), text
    except aiohttp.ClientConnectorError as error:
        return TryAgain(f"no connection ({type(error).__name__})")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return TryAgain(f"no answer ({type(error).__name__})", maybe_arrived=True)


async def _beginning_of(content: aiohttp.StreamReader) -> str:
    """Return as much of an answer as anybody needs: whoever answers may not fill our memory."""
    answer = b""
    while len(answer) < ANSWER_BYTES and (chunk := await content.read(ANSWER_BYTES - len(answer))):
        answer += chunk
    return answer.decode("utf-8", "replace")
