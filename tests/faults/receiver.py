"""A server that alerts are posted to. It may be slow, down, or strike at the moment of a POST."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Keeps whatever was posted: its key, and whether it was marked as a possible duplicate."""

    def __init__(self) -> None:
        self._told: list[tuple[str, bool]] = []
        self._bodies: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.is_down = False
        self.refuses = False
        """For good: what is posted becomes a dead letter."""
        self.refused = 0
        self.on_post: Callable[[int], None] = lambda count: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver._take(self.headers["Idempotency-Key"], body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _take(self, key: str, body: dict[str, Any]) -> int:
        with self._lock:
            if self.is_down or self.refuses:
                self.refused += 1
                return 503 if self.is_down else 401
            self._told.append((key, bool(body["possible_duplicate"])))
            self._bodies.append(body)
            count = len(self._told)
        self.on_post(count)
        return 200

    def told(self) -> list[tuple[str, bool]]:
        """Return what arrived, in order."""
        with self._lock:
            return list(self._told)

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that arrived, in order."""
        with self._lock:
            return [body["alert"] for body in self._bodies if "alert" in body]

    def digests(self) -> list[dict[str, Any]]:
        """Return the digests that arrived, in order."""
        with self._lock:
            return [body["digest"] for body in self._bodies if "digest" in body]

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
