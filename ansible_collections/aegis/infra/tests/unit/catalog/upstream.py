# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTP server in the place of a mirror or an upstream."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Server:
    """Serves `files` (path → body); everything else is `missing`. `requests` has every path asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.missing = 404
        self.cut_short: set[str] = set()
        self.requests: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                body = server.files.get(self.path)
                self.send_response(server.missing if body is None else 200)
                body = body or b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.path in server.cut_short:
                    server.cut_short.remove(self.path)
                    body = body[: len(body) // 2]
                self.wfile.write(body)

            def log_message(self, *args: object) -> None: ...

        return Handler

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
