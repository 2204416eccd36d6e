# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection pool to one API server, with retries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
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
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=60.0, sock_connect=_CONNECT_TIMEOUT)
_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_NO_CONNECTION = (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError, ConfigError)


class Credentials:
    """The Authorization header of a kubeconfig's user: a token, or what an exec plugin prints.

    Drives lightkube's httpx authentication without sending its requests, since the requests are aiohttp's.
    """

    def __init__(self, server: str, auth: httpx.Auth | None) -> None:
        self._server = server
        self._auth = auth
        self._lock = asyncio.Lock()
        self._header: str | None = None

    async def headers(self, rejected: str | None = None) -> dict[str, str]:
        """Headers to send. rejected: the Authorization that the server just refused, to be replaced by a fresh one."""
        if self._auth is None:
            return {}
        async with self._lock:
            if self._header is None or self._header == rejected:
                self._header = await self._obtain(refused=rejected is not None)
        return {"Authorization": self._header}

    async def _obtain(self, *, refused: bool) -> str:
        assert self._auth is not None
        flow = self._auth.async_auth_flow(httpx.Request("GET", self._server))
        request = await anext(flow)
        if refused:
            with contextlib.suppress(StopAsyncIteration):
                request = await flow.asend(httpx.Response(401, request=request))
        await flow.aclose()
        return str(request.headers.get("Authorization", ""))


class Client:
    """Requests to one API server: bounded concurrency, retried until a deadline, counted.

    concurrency: requests under way at once. retry_for: seconds that one request may be retried.
    """

    def __init__(
        self, http: aiohttp.ClientSession, server: str, credentials: Credentials, *, concurrency: int, retry_for: float
    ) -> None:
        self._http = http
        self._credentials = credentials
        self._slots = asyncio.Semaphore(concurrency)
        self._retry_for = retry_for
        self.server = server
        self.requests = 0
        self.retries = 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def check(self) -> str:
        """The server's version, after one try: the first request of a run tells whether there is a cluster at all."""
        try:
            version = await self._once("GET", "/version", None, {"Accept": JSON})
        except ApiError as error:
            if error.status in (401, 403):
                raise ConnectionFailed(
                    f"the API server at {self.server} refuses these credentials ({error.status}); "
                    "the client certificate or token is not valid there, or it has expired"
                ) from error
            raise ConnectionFailed(f"the API server at {self.server} answers {error} to /version") from error
        return str(version["gitVersion"]).removeprefix("v")

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
            authorization = await self._authorization()
            try:
                return await self._send(method, url, content, headers | authorization)
            except ApiError as error:
                renewed = (
                    await self._authorization(authorization.get("Authorization", "")) if error.status == 401 else authorization
                )
                if renewed == authorization:
                    raise
                return await self._send(method, url, content, headers | renewed)

    async def _authorization(self, rejected: str | None = None) -> dict[str, str]:
        try:
            return await self._credentials.headers(rejected)
        except (ConfigError, OSError, ValueError, KeyError) as error:
            raise ConnectionFailed(f"the credentials for {self.server} cannot be obtained: {error}") from error

    async def _send(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> Any:
        self.requests += 1
        try:
            async with self._http.request(method, url, data=content, headers=headers, timeout=_REQUEST_TIMEOUT) as response:
                body = await response.read()
        except _NO_CONNECTION as error:
            raise ConnectionFailed(explain(self.server, error)) from error
        if response.status >= 400:
            raise api_error(response, body)
        return json.loads(body) if response.content_type == JSON else body.decode(errors="replace")

    async def watch(self, path: str, query: dict[str, str], seconds: float) -> AsyncIterator[dict[str, Any]]:
        """Events of a watch until the server ends it, at the latest after `seconds`. Raises ApiError (410: list again)."""
        query = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(max(1, int(seconds)))}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=seconds + 10)
        headers = {"Accept": JSON} | await self._authorization()
        self.requests += 1
        try:
            async with self._http.get(f"{path}?{urlencode(query)}", headers=headers, timeout=timeout) as response:
                if response.status >= 400:
                    raise api_error(response, await response.read())
                async for line in _lines(response.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _error_from_status(event["object"], event["object"].get("code", 500))
                    yield event
        except _NO_CONNECTION as error:
            raise ConnectionFailed(explain(self.server, error)) from error


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own iteration refuses those over its buffer, and an object can be larger."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line


def connect(kubeconfig: str, context: str = "", *, concurrency: int = 8, retry_for: float = 60.0) -> Client:
    """A client for a context of a kubeconfig file ("": its current context). Sends nothing yet."""
    config = _load_config(kubeconfig, context)
    _accept_exec_v1(config)
    server = config.cluster.server or ""
    try:
        tls = client_adapter.verify_cluster(config.cluster, config.user, config.abs_file)
        credentials = Credentials(server, client_adapter.user_auth(config.user))
    except (ConfigError, OSError, ssl.SSLError, ValueError) as error:
        raise ConnectionFailed(f"{kubeconfig}: the credentials cannot be loaded: {error}") from error
    connector = aiohttp.TCPConnector(ssl=tls, limit=0, keepalive_timeout=60)
    http = aiohttp.ClientSession(server, connector=connector, headers={"User-Agent": "aegis.infra"}, trust_env=True)
    return Client(http, server, credentials, concurrency=concurrency, retry_for=retry_for)


def _load_config(kubeconfig: str, context: str) -> SingleConfig:
    path = Path(kubeconfig).expanduser()
    if not path.is_file():
        raise ConnectionFailed(f"kubeconfig {path} does not exist; set aegis_cluster.kubeconfig, or build the cluster first")
    try:
        loaded = KubeConfig.from_file(path)
    except Exception as error:  # whatever a broken file makes the parser raise
        raise ConnectionFailed(f"kubeconfig {path} cannot be read: {error}") from error
    if context and context not in loaded.contexts:
        raise ConnectionFailed(f"kubeconfig {path} has no context {context!r}; it has: {', '.join(loaded.contexts) or 'none'}")
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
    return f"the API server at {server} cannot be reached ({text}); is it running, and is the kubeconfig's address right?"


def api_error(response: aiohttp.ClientResponse, body: bytes) -> ApiError:
    """The error an answer stands for."""
    retry_after = response.headers.get("Retry-After", "")
    try:
        error = _error_from_status(json.loads(body), response.status)
    except (ValueError, AttributeError):
        error = ApiError(response.status, response.reason or "", body.decode(errors="replace").strip()[:500])
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
