"""What the contract servers share: a local HTTP server, faults on demand, and rate limits as tokens in a bucket."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

import msgspec
from aiohttp import web


class Fault(msgspec.Struct, frozen=True):
    """Something that goes wrong with the next request: a delay, then an answer or a cut connection.

    With ``processed`` the request takes effect before the fault, as when an answer is lost on its way back.
    """

    status: int = 0
    body: str = ""
    headers: dict[str, str] = {}
    delay_seconds: float = 0.0
    cut: bool = False
    processed: bool = False


class TokenBucket:
    """Lets ``per_second`` through on average, and ``burst`` at once."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second


class LocalServer:
    """A server on 127.0.0.1; ``async with`` starts and stops it.

    Subclasses give ``routes``. ``faults`` befall the next requests, one each; ``refused`` lists every answer but 2xx
    with the reason, so that a test can show why nothing arrived.
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._runner: web.AppRunner | None = None
        self.faults: deque[Fault] = deque()
        self.refused: list[str] = []
        self.requests = 0

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    def received(self) -> object:
        """Return what has arrived, for ``GET /received``."""
        raise NotImplementedError

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._befall], client_max_size=8 * 1024 * 1024)
        app.add_routes([*self.routes(), web.get("/received", self._tell)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _tell(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.received()), content_type="application/json")

    @web.middleware
    async def _befall(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method != "POST":
            return await handler(request)
        self.requests += 1
        fault = self.faults.popleft() if self.faults else None
        if fault is None:
            response = await handler(request)
        else:
            await asyncio.sleep(fault.delay_seconds)
            answer = await handler(request) if fault.processed or not (fault.status or fault.cut) else None
            if fault.cut:
                assert request.transport is not None
                request.transport.abort()
            response = (
                web.Response(status=fault.status, text=fault.body, headers=fault.headers) if fault.status else answer
            ) or web.Response()
        if response.status >= 300:
            self.refused.append(f"{request.path}: {response.status} {getattr(response, 'text', '')}")
        return response


def serve_by_hand(server: LocalServer, how: str) -> None:
    """Run a server until interrupted, and say how to send to it."""

    async def forever() -> None:
        async with server:
            print(how.format(server=server), flush=True)  # noqa: T201
            await asyncio.Event().wait()

    try:
        asyncio.run(forever())
    except KeyboardInterrupt:
        return


def port_argument(description: str | None) -> int:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    return int(parser.parse_args().port)
