"""A server that alerts are posted to. It may be slow, down, or strike at the moment of a POST."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Keeps the key of every alert that was posted, and whether it was marked as a possible duplicate."""

    def __init__(self) -> None:
        self._told: list[tuple[str, bool]] = []
        self._lock = threading.Lock()
        self.is_down = False
        self.on_post: Callable[[int], None] = lambda count: None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver._take(self.headers["Idempotency-Key"], bool(body["possible_duplicate"]))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _take(self, key: str, possible_duplicate: bool) -> int:
        if self.is_down:
            return 503
        with self._lock:
            self._told.append((key, possible_duplicate))
            count = len(self._told)
        self.on_post(count)
        return 200

    def told(self) -> list[tuple[str, bool]]:
        """Return what arrived, in order."""
        with self._lock:
            return list(self._told)

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
