# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection pool to one API server, with retries."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from .errors import ApiError, ConnectionFailed

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
# A 409 that a second try can mend, unlike a conflict of field managers.
_RETRIED_CONFLICT = ("the object has been modified", "Operation cannot be fulfilled", "already exists")
_CONNECT_TIMEOUT = 5.0
_REQUEST_TIMEOUT = 60.0
_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0


class Client:
    """Requests to one API server: bounded concurrency, retried until a deadline, counted.

    concurrency: requests under way at once. retry_for: seconds that one request may be retried.
    """

    def __init__(self, http: httpx.AsyncClient, server: str, *, concurrency: int = 8, retry_for: float = 60.0) -> None:
        self._http = http
        self._slots = asyncio.Semaphore(concurrency)
        self._retry_for = retry_for
        self.server = server
        self.requests = 0
        self.retries = 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def check(self) -> str:
        """The server's version, after one try: the first request of a run tells whether there is a cluster at all."""
        try:
            response = await self._http.get("/version", timeout=_CONNECT_TIMEOUT)
        except (httpx.TransportError, ssl.SSLError, OSError, ConfigError) as error:
            raise ConnectionFailed(explain(self.server, error)) from error
        if response.status_code in (401, 403):
            raise ConnectionFailed(
                f"the API server at {self.server} refuses these credentials ({response.status_code}); "
                "the client certificate or token is not valid there, or it has expired"
            )
        if response.is_error:
            raise ConnectionFailed(f"the API server at {self.server} answers {response.status_code} to /version")
        return response.json()["gitVersion"].removeprefix("v")

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Any:
        """The decoded answer. Raises ApiError once retrying makes no sense or takes too long."""
        url = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept, "Content-Type": content_type}
        deadline = time.monotonic() + self._retry_for
        backoff = _FIRST_BACKOFF
        while True:
            try:
                return await self._once(method, url, content, headers)
            except (ApiError, ConnectionFailed) as error:
                pause = _pause_before_retry(error, backoff)
                if pause is None or time.monotonic() + pause > deadline:
                    raise
                self.retries += 1
                await asyncio.sleep(pause)
                backoff = min(backoff * 2, _LONGEST_BACKOFF)

    async def _once(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> Any:
        async with self._slots:
            self.requests += 1
            try:
                response = await self._http.request(
                    method, url, content=content, headers=headers, timeout=_REQUEST_TIMEOUT
                )
            except (httpx.TransportError, ssl.SSLError, OSError, ConfigError) as error:
                raise ConnectionFailed(explain(self.server, error)) from error
        if response.is_error:
            raise api_error(response)
        return (
            json.loads(response.content) if response.headers.get("content-type", "").startswith(JSON) else response.text
        )

    async def watch(self, path: str, query: dict[str, str], seconds: float) -> AsyncIterator[dict[str, Any]]:
        """Events of a watch until the server ends it, at the latest after `seconds`. Raises ApiError (410: list again)."""
        query = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(max(1, int(seconds)))}
        timeout = httpx.Timeout(_REQUEST_TIMEOUT, read=seconds + 10)
        self.requests += 1
        try:
            async with self._http.stream("GET", f"{path}?{urlencode(query)}", timeout=timeout) as response:
                if response.is_error:
                    await response.aread()
                    raise api_error(response)
                async for line in response.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _error_from_status(event["object"], event["object"].get("code", 500))
                    yield event
        except (httpx.TransportError, ssl.SSLError, OSError) as error:
            raise ConnectionFailed(explain(self.server, error)) from error


def connect(kubeconfig: str, context: str = "", *, concurrency: int = 8, retry_for: float = 60.0) -> Client:
    """A client for a context of a kubeconfig file ("": its current context). Sends nothing yet."""
    config = _load_config(kubeconfig, context)
    _accept_exec_v1(config)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=concurrency + 8)
    try:
        parameters = client_adapter.ConnectionParams(trust_env=True).httpx_params(config)
    except (ConfigError, OSError, ssl.SSLError, ValueError) as error:
        raise ConnectionFailed(f"{kubeconfig}: the credentials cannot be loaded: {error}") from error
    parameters.pop("transport")
    http = httpx.AsyncClient(**parameters, limits=limits, headers={"User-Agent": "aegis.infra"})
    return Client(http, config.cluster.server or "", concurrency=concurrency, retry_for=retry_for)


def _load_config(kubeconfig: str, context: str) -> SingleConfig:
    path = Path(kubeconfig).expanduser()
    if not path.is_file():
        raise ConnectionFailed(
            f"kubeconfig {path} does not exist; set aegis_cluster.kubeconfig, or build the cluster first"
        )
    try:
        loaded = KubeConfig.from_file(path)
    except Exception as error:  # whatever a broken file makes the parser raise
        raise ConnectionFailed(f"kubeconfig {path} cannot be read: {error}") from error
    if context and context not in loaded.contexts:
        raise ConnectionFailed(
            f"kubeconfig {path} has no context {context!r}; it has: {', '.join(loaded.contexts) or 'none'}"
        )
    try:
        config = loaded.get(context or None)
    except ConfigError as error:
        raise ConnectionFailed(f"kubeconfig {path}: {error}") from error
    if config is None or config.user is None:
        raise ConnectionFailed(
            f"kubeconfig {path} names no context with a cluster and a user; set one with kubectl config use-context"
        )
    return config


def _accept_exec_v1(config: SingleConfig) -> None:
    """For a token, ExecCredential is the same in v1 and v1beta1, but the library only knows the older name."""
    exec_plugin = config.user.exec if config.user else None
    if exec_plugin and exec_plugin.apiVersion == "client.authentication.k8s.io/v1":
        exec_plugin.apiVersion = "client.authentication.k8s.io/v1beta1"


def explain(server: str, error: Exception) -> str:
    """Why a server cannot be reached, and what to look at."""
    text = str(error) or type(error).__name__
    if "certificate has expired" in text or "certificate expired" in text:
        return f"a certificate between here and {server} has expired ({text}); renew the kubeconfig's or the server's certificate"
    if "CERTIFICATE" in text.upper():
        return f"TLS with {server} failed ({text}); the kubeconfig's certificate authority does not match that server"
    return (
        f"the API server at {server} cannot be reached ({text}); is it running, and is the kubeconfig's address right?"
    )


def api_error(response: httpx.Response) -> ApiError:
    """The error an answer stands for."""
    retry_after = response.headers.get("Retry-After", "")
    try:
        error = _error_from_status(response.json(), response.status_code)
    except ValueError:
        error = ApiError(response.status_code, response.reason_phrase, response.text.strip()[:500])
    error.retry_after = float(retry_after) if retry_after.isdigit() else None
    return error


def _error_from_status(status: Any, code: int) -> ApiError:
    details = status.get("details") or {}
    return ApiError(code, status.get("reason", ""), status.get("message", ""), details.get("causes") or [])


def _pause_before_retry(error: ApiError | ConnectionFailed, backoff: float) -> float | None:
    """Seconds to wait before trying again, or None when trying again cannot help."""
    jittered = backoff * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, guards nothing
    if isinstance(error, ConnectionFailed):
        return None if "certificate" in str(error).lower() else jittered
    if error.retry_after is not None and error.status in _RETRIED_STATUS:
        return max(error.retry_after, jittered)
    if error.status in _RETRIED_STATUS:
        return jittered
    if error.status == 409 and not error.is_field_conflict and any(text in error.message for text in _RETRIED_CONFLICT):
        return jittered
    if error.status == 403 and any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
        return jittered
    return None
