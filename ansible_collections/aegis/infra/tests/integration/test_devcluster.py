# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded control plane: it survives kill -9, is closed to others, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Devcluster, plain_cluster

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "simulator")


@pytest.fixture(scope="module")
def cluster(devcluster_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devcluster]:
    """A second cluster, side by side with the session's."""
    cluster = Devcluster(tmp_path_factory.mktemp("second"), plain_cluster("second"))
    cluster.up()
    yield cluster
    if cluster.state.exists():
        cluster.run("down")


def processes(cluster: Devcluster) -> dict[str, int]:
    """Pid of every component, found by the state folder in its command line or environment."""
    state = json.loads((cluster.state / "state.json").read_text())
    return {name: process["pid"] for name, process in state["processes"].items()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_two_clusters_side_by_side(plain: Devcluster, cluster: Devcluster) -> None:
    for each in (plain, cluster):
        assert json.loads(each.kubectl("get", "nodes", "-o", "json"))["items"]
    assert not set(processes(plain).values()) & set(processes(cluster).values())


def test_a_second_up_changes_nothing(cluster: Devcluster) -> None:
    before = processes(cluster)
    again = cluster.up()
    assert again["changed"] is False, again
    assert processes(cluster) == before


@pytest.mark.parametrize("component", COMPONENTS)
def test_up_brings_a_killed_component_back_with_the_data(cluster: Devcluster, component: str) -> None:
    name = f"before-{component}"
    cluster.kubectl("create", "configmap", name, "--from-literal=key=value", "-n", "default")
    pid = processes(cluster)[component]
    os.kill(pid, signal.SIGKILL)
    result = cluster.up()
    assert result["changed"] is True
    assert any(component in action for action in result["actions"]), result
    assert processes(cluster)[component] != pid
    assert cluster.get("configmap", name, "default")["data"] == {"key": "value"}
    again = cluster.up()
    assert again["changed"] is False, again


def test_listens_on_loopback_only(cluster: Devcluster) -> None:
    inodes = set()
    for pid in processes(cluster).values():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(descriptor)
            except FileNotFoundError:
                continue
            inodes |= {target[8:-1]} if target.startswith("socket:[") else set()
    listening = []
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append((fields[1].split(":")[0], loopback))
    assert len(listening) >= 4
    assert all(address == loopback for address, loopback in listening), listening


def test_files_are_private_and_secrets_encrypted(cluster: Devcluster) -> None:
    assert stat.S_IMODE(cluster.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.state.stat().st_mode) == 0o700
    marker = "a-marker-that-must-not-be-readable"
    cluster.kubectl("create", "secret", "generic", "hidden", f"--from-literal=key={marker}", "-n", "default")
    cluster.kubectl("create", "configmap", "shown", "--from-literal=key=a-marker-that-may-be-readable", "-n", "default")
    stored = b"".join(path.read_bytes() for path in (cluster.state / "etcd").rglob("*") if path.is_file())
    assert b"a-marker-that-may-be-readable" in stored
    assert marker.encode() not in stored
    audit = (cluster.state / "logs" / "audit.log").read_text()
    assert '"resource":"secrets"' in audit
    assert marker not in audit


def test_nodes_follow_the_pools(cluster: Devcluster) -> None:
    cluster.config["node_pools"][0]["count"] = 3
    assert cluster.up()["changed"] is True
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    assert sorted({node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes}) == ["local-a", "local-b"]
    assert len(nodes) == 3
    cluster.config["node_pools"][0]["count"] = 2
    cluster.up()
    assert len(json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]) == 2


def test_down_leaves_nothing(cluster: Devcluster) -> None:
    pids = processes(cluster)
    assert all(alive(pid) for pid in pids.values())
    cluster.run("down")
    assert not cluster.state.exists()
    assert not [name for name, pid in pids.items() if alive(pid)]
