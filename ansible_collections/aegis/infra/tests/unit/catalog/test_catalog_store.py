# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact store: order of sources, digests, the cache, failures."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.catalog import (
    Artifact,
    ArtifactStore,
    ArtifactsUnavailable,
    ArtifactUnavailable,
    Component,
    DigestMismatch,
    default_cache_dir,
    sources,
)
from ansible_collections.aegis.infra.tests.unit.catalog.upstream import Server

GOOD = b"kind: Good\n"
BAD = b"kind: Bad\n"
IN_MIRROR = "/demo/1.2.3/demo.yaml"
MakeComponent = Callable[..., Component]


def fetch(store: ArtifactStore, component: Component) -> bytes:
    return store.fetch(component, component.artifacts[0])


def test_mirror_is_asked_first_and_the_cache_before_it(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {IN_MIRROR: GOOD, "/upstream": GOOD}
    demo = component(GOOD, [{"url": f"{server.url}/upstream"}])
    store = ArtifactStore(tmp_path / "cache", mirror=server.url)
    assert fetch(store, demo) == GOOD
    assert fetch(store, demo) == GOOD
    assert server.requests == [IN_MIRROR]


def test_mirror_directory_from_the_environment(component: MakeComponent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mirror" / "demo" / "1.2.3" / "demo.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(GOOD)
    monkeypatch.setenv("AEGIS_ARTIFACT_MIRROR", str(tmp_path / "mirror"))
    store = ArtifactStore(tmp_path / "cache")
    assert fetch(store, component(GOOD, [{"url": "http://127.0.0.1:1/never"}])) == GOOD


def test_wrong_bytes_from_one_source_lead_to_the_next(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {IN_MIRROR: BAD, "/first": BAD, "/second": GOOD}
    demo = component(GOOD, [{"url": f"{server.url}/first"}, {"url": f"{server.url}/second"}])
    assert fetch(ArtifactStore(tmp_path, mirror=server.url), demo) == GOOD
    assert server.requests == [IN_MIRROR, "/first", "/second"]
    assert [path.name for path in tmp_path.iterdir()] == [hashlib.sha256(GOOD).hexdigest()]


def test_only_wrong_bytes_is_a_digest_mismatch(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {"/upstream": BAD}
    with pytest.raises(DigestMismatch) as caught:
        fetch(ArtifactStore(tmp_path, mirror=server.url), component(GOOD, [{"url": f"{server.url}/upstream"}]))
    expected, got = hashlib.sha256(GOOD).hexdigest(), hashlib.sha256(BAD).hexdigest()
    assert f"{server.url}/upstream: wrong digest: expected {expected}, got {got}" in str(caught.value)
    assert "HTTP 404" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_source_lists_all_of_them_and_what_to_do(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    demo = component(
        GOOD,
        [
            {"url": f"{server.url}/upstream"},
            {"go_module": "example.org/demo@v1.2.3", "path": "demo.yaml"},
            {"strimzi_crd_generator": {"version": "1.2.0", "class": "org.example.Demo"}},
        ],
    )
    store = ArtifactStore(tmp_path, offline_sources=["go_module", "strimzi_crd_generator"])
    with pytest.raises(ArtifactUnavailable) as caught:
        fetch(store, demo)
    text = str(caught.value)
    assert not isinstance(caught.value, DigestMismatch)
    assert "demo 1.2.3: demo.yaml" in text
    assert "mirror: AEGIS_ARTIFACT_MIRROR is not set" in text
    assert f"{server.url}/upstream: HTTP 404 Not Found" in text
    assert "Go module example.org/demo@v1.2.3: not asked" in text
    assert "Strimzi CRD generator 1.2.0: not asked" in text
    assert f"Set AEGIS_ARTIFACT_MIRROR to a directory or URL that has {IN_MIRROR[1:]}" in text
    assert str(tmp_path / hashlib.sha256(GOOD).hexdigest()) in text


def test_damaged_cache_entry_is_healed(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {"/upstream": GOOD}
    demo = component(GOOD, [{"url": f"{server.url}/upstream"}])
    entry = tmp_path / hashlib.sha256(GOOD).hexdigest()
    entry.write_bytes(GOOD[:-1])
    store = ArtifactStore(tmp_path)
    assert fetch(store, demo) == GOOD
    assert entry.read_bytes() == GOOD
    assert stat.S_IMODE(entry.stat().st_mode) == 0o644
    assert "damaged" in store.warnings[0]


def test_damaged_cache_entry_without_a_source_is_no_answer(component: MakeComponent, tmp_path: Path) -> None:
    entry = tmp_path / hashlib.sha256(GOOD).hexdigest()
    entry.write_bytes(BAD)
    with pytest.raises(ArtifactUnavailable):
        fetch(ArtifactStore(tmp_path), component(GOOD, [{"url": "http://127.0.0.1:1/never"}]))
    assert not entry.exists()


def test_unwritable_cache_costs_a_warning_only(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {"/upstream": GOOD}
    (tmp_path / "file").write_text("")
    store = ArtifactStore(tmp_path / "file" / "cache")
    assert fetch(store, component(GOOD, [{"url": f"{server.url}/upstream"}])) == GOOD
    assert "not cached" in store.warnings[0]


def test_answer_cut_short_is_asked_for_again(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {"/upstream": GOOD}
    server.cut_short = {"/upstream"}
    assert fetch(ArtifactStore(tmp_path), component(GOOD, [{"url": f"{server.url}/upstream"}])) == GOOD
    assert server.requests == ["/upstream", "/upstream"]


def test_fetch_many_collects_all_failures(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    server.files = {"/0": b"0", "/2": BAD}
    contents = [b"0", b"1", b"2"]
    demos = [component(content, [{"url": f"{server.url}/{content.decode()}"}]) for content in contents]
    wanted: list[tuple[Component, Artifact]] = [(demo, demo.artifacts[0]) for demo in demos]
    with pytest.raises(ArtifactsUnavailable) as caught:
        ArtifactStore(tmp_path).fetch_many(wanted)
    assert [type(failure) for failure in caught.value.failures] == [ArtifactUnavailable, DigestMismatch]
    server.files |= {"/1": b"1", "/2": b"2"}
    assert ArtifactStore(tmp_path).fetch_many(wanted) == contents
    assert server.requests.count("/0") == 1


class SilentServer:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                self.connections.append(self._socket.accept()[0])
        except OSError:
            pass

    def close(self) -> None:
        for connection in (self._socket, *self.connections):
            connection.close()


def test_a_host_that_does_not_answer_is_given_up_once(
    component: MakeComponent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "READ_TIMEOUT", 0.3)
    silent = SilentServer()
    started = time.monotonic()
    for content in (b"a", b"b", b"c", b"d", b"e"):
        demo = component(content, [{"url": f"{silent.url}/{content.decode()}"}])
        with pytest.raises(ArtifactUnavailable, match="timed out"):
            fetch(ArtifactStore(tmp_path), demo)
    elapsed = time.monotonic() - started
    tried = len(silent.connections)
    silent.close()
    assert tried == 3, "the probe, the request and its retry; nothing for the other four artifacts"
    assert elapsed < 5 * 2 * 0.3


def test_a_host_that_accepts_no_connection_is_probed_once(
    component: MakeComponent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name resolution that hangs is cut off after CONNECT_TIMEOUT, once for all threads."""
    probes: list[object] = []

    def hang(address: object, timeout: float) -> socket.socket:
        probes.append(address)
        time.sleep(5)
        raise OSError("nobody waits for this")

    monkeypatch.setattr(sources, "CONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr(socket, "create_connection", hang)
    demos = [component(bytes([65 + i]), [{"url": f"http://upstream.test/{i}"}]) for i in range(20)]
    started = time.monotonic()
    with pytest.raises(ArtifactsUnavailable, match=r"host upstream\.test is unreachable: no connection within"):
        ArtifactStore(tmp_path).fetch_many((demo, demo.artifacts[0]) for demo in demos)
    assert time.monotonic() - started < 2
    assert probes == [("upstream.test", 80)]


def test_credentials_of_a_mirror_are_in_no_message(component: MakeComponent, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, mirror="http://robot:hunter2@127.0.0.1:1/mirror")
    with pytest.raises(ArtifactUnavailable) as caught:
        fetch(store, component(GOOD, [{"url": "http://127.0.0.1:1/upstream"}]))
    assert "mirror http://127.0.0.1:1/mirror: host 127.0.0.1 is unreachable: Connection refused" in str(caught.value)
    assert "hunter2" not in str(caught.value)


WORKER = """
import sys
from pathlib import Path
from ansible_collections.aegis.infra.plugins.module_utils.catalog import ArtifactStore, Component
component = Component.model_validate_json(sys.argv[1])
cache = Path(sys.argv[2])
for _ in range(15):
    store = ArtifactStore(cache)
    data = store.fetch(component, component.artifacts[0])
    assert len(data) == component.artifacts[0].size
    assert store.warnings == [], store.warnings
    (cache / component.artifacts[0].sha256).unlink(missing_ok=True)
ArtifactStore(cache).fetch(component, component.artifacts[0])
"""


def test_processes_share_a_cache(server: Server, component: MakeComponent, tmp_path: Path) -> None:
    """Four processes fetch and drop the same entry; none ever sees half a file."""
    content = os.urandom(4 * 1024 * 1024)
    server.files = {"/upstream": content}
    demo = component(content, [{"url": f"{server.url}/upstream"}])
    command = [sys.executable, "-c", WORKER, demo.model_dump_json(), str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    workers = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0], errors
    assert [path.name for path in tmp_path.iterdir()] == [hashlib.sha256(content).hexdigest()]


def test_default_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "aegis.infra" / "artifacts"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "aegis.infra" / "artifacts"
    monkeypatch.setenv("AEGIS_ARTIFACT_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
