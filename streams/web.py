"""The one web server of a process: metrics, health, and the routes that sources add."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from aiohttp import web

_SHUTDOWN_SECONDS = 5.0


class Readiness:
    """What keeps this process from doing its work, by name; it is ready when nothing does.

    Examples
    --------
    >>> readiness = Readiness("state")
    >>> readiness.is_ready, readiness.failing
    (False, {'state': 'starting'})
    >>> readiness.mend("state")
    >>> readiness.is_ready
    True
    """

    def __init__(self, *awaited: str) -> None:
        self.failing: dict[str, str] = dict.fromkeys(awaited, "starting")

    @property
    def is_ready(self) -> bool:
        """Whether nothing fails."""
        return not self.failing

    def fail(self, part: str, reason: str) -> None:
        """Say that a part does not work, and why."""
        self.failing[part] = reason

    def mend(self, part: str) -> None:
        """Say that a part works."""
        self.failing.pop(part, None)


class WebServer:
    """Serves ``/metrics``, ``/healthz``, ``/readyz`` and the routes given.

    Parameters
    ----------
    expose
        From an ``Accept`` header to the body and content type of a scrape.
    readiness
        What ``/readyz`` tells.
    routes
        Of sources.
    max_request_bytes
        Bodies above it are refused.
    """

    def __init__(
        self,
        expose: Callable[[str], tuple[bytes, str]],
        readiness: Readiness,
        routes: Iterable[web.RouteDef] = (),
        max_request_bytes: int = 1024**2,
    ) -> None:
        self._expose = expose
        self._readiness = readiness
        app = web.Application(client_max_size=max_request_bytes)
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                *routes,
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which for port 0 is one that was free.

        Raises
        ------
        OSError
            If the address is taken or not ours.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        listening: int = self._runner.addresses[0][1]
        return listening

    async def stop(self) -> None:
        """Stop listening; let requests in hand finish."""
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        failing = dict(self._readiness.failing)
        told = msgspec.json.encode({"ready": not failing, "failing": failing})
        return web.Response(status=503 if failing else 200, body=told, content_type="application/json")
