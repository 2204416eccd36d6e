# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain-HTTP proxy to an API server that fails as servers and networks do, by a seeded plan."""

from __future__ import annotations

import base64
import http.client
import json
import random
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

FAULTS = ("429", "500", "503", "504", "webhook", "reset", "lost answer")


class FaultProxy:
    """Forwards with the kubeconfig's client certificate; `rate` of the requests meet a fault instead."""

    def __init__(self, kubeconfig: Path, folder: Path, seed: int, rate: float) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self._random = random.Random(seed)  # noqa: S311 - a repeatable plan
        self._lock = threading.Lock()
        self._rate = rate
        self._address = urlsplit(config["clusters"][0]["cluster"]["server"])
        self._tls = _tls_of(config)
        self.faults: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._server.server_port}"}
        config["users"][0]["user"] = {"token": "the proxy knows the credentials"}
        self.kubeconfig = folder / f"proxy-{seed}"
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self) -> str:
        """The fault of this request, or "" for none."""
        with self._lock:
            if self._random.random() >= self._rate:
                return ""
            self.faults.append(self._random.choice(FAULTS))
            return self.faults[-1]

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(self._address.hostname or "", self._address.port, context=self._tls)
        kept = {name: value for name, value in request.headers.items() if name.lower() in ("accept", "content-type")}
        connection.request(request.command, request.path, body=body or None, headers=kept)
        return connection.getresponse()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                watching = "watch=1" in self.path
                fault = "" if self.path == "/version" else proxy.next_fault()
                if fault == "reset":
                    self.close_connection = True
                elif fault == "lost answer" and not watching:
                    proxy.forward(self, body).read()
                    self.close_connection = True
                elif fault and not watching:
                    self._fail(fault)
                else:
                    self._answer(proxy.forward(self, body), cut=bool(fault))

            def _fail(self, fault: str) -> None:
                code = 500 if fault == "webhook" else int(fault)
                message = "Internal error occurred: failed calling webhook" if fault == "webhook" else "try again"
                self._send(code, json.dumps({"kind": "Status", "code": code, "reason": "Fault", "message": message}).encode())

            def _answer(self, response: http.client.HTTPResponse, *, cut: bool) -> None:
                if "watch=1" not in self.path or response.status != 200:
                    self._send(response.status, response.read(), response.headers.get("Content-Type", ""))
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Connection", "close")
                self.end_headers()
                while line := response.readline():
                    self.wfile.write(line)
                    self.wfile.flush()
                    if cut:
                        break
                self.close_connection = True

            def _send(self, code: int, body: bytes, kind: str = "application/json") -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if code == 429:
                    self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PATCH = do_POST = do_DELETE = handle_any  # noqa: N815 - the names the server looks for

            def log_message(self, *_: Any) -> None:
                """Silent: pytest shows the proxy's own list of faults instead."""

        return Handler


def _tls_of(config: dict[str, Any]) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as chain:
        chain.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        chain.flush()
        context.load_cert_chain(chain.name)
    return context
