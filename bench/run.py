#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure aegis.infra.converge against its peers: same objects, same embedded cluster, one run.

Peers: `kubectl apply --server-side` (of the server's own minor, linked into the devcluster binary) and
`kubernetes.core.k8s` (all objects in one task). Cases: first apply, and apply again with nothing changed.
A tool's start-up is what the same command takes with a single object that is already there; it is shown
apart and taken off. Every figure is the median of the rounds. Requests are the API server's own count.

Writes bench/results/latest.json: a list of {case, tool, objects, seconds, startup, requests}.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

BENCH = Path(__file__).resolve().parent
PROJECT = BENCH.parent
DEVCLUSTER = PROJECT / ".aegis" / "bin" / "devcluster"
NAMESPACES = 10
KINDS_EACH = {"ConfigMap": 16, "Secret": 8, "ServiceAccount": 8, "Service": 8, "Role": 5, "RoleBinding": 5}


@dataclass(frozen=True)
class Measurement:
    """seconds: of the objects alone. startup: of the tool itself. requests: seen by the API server."""

    case: str
    tool: str
    objects: int
    seconds: float
    startup: float
    requests: int


class Cluster:
    """The embedded cluster of this benchmark."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "local"
        self.kubeconfig = self.state / "kubeconfig"
        config = folder / "devcluster.yml"
        config.write_text(yaml.safe_dump(cluster_config()), encoding="utf-8")
        self._run("up", "--config", str(config))

    def down(self) -> None:
        self._run("down")

    def _run(self, verb: str, *arguments: str) -> None:
        subprocess.run([str(DEVCLUSTER), verb, "--state", str(self.state), *arguments], check=True, stdout=subprocess.DEVNULL)

    def kubectl(self, *arguments: str) -> str:
        command = [str(DEVCLUSTER), "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def requests(self) -> int:
        """Requests for objects so far; watches and the health probes of the cluster itself are left out."""
        lines = re.findall(r"^apiserver_request_total\{([^}]*)\} (\S+)$", self.kubectl("get", "--raw", "/metrics"), re.MULTILINE)
        counted = [float(value) for labels, value in lines if 'verb="WATCH"' not in labels and 'resource="leases"' not in labels]
        return int(sum(counted))


def cluster_config() -> dict:
    return {
        "name": "bench",
        "kubernetes_version": "1.36.3",
        "service_cidr": "10.96.0.0/16",
        "pod_cidr": "10.244.0.0/16",
        "region": "local",
        "zones": ["local-a", "local-b"],
        "node_pools": [
            {"name": "application", "count": 1, "cpu": "2", "memory": "4Gi", "storage": "10Gi", "instance_type": "bench"}
        ],
        "storage_classes": [],
        "simulation": {"rules": str(PROJECT / "tools" / "devcluster" / "rules")},
    }


def bench_objects() -> list[dict]:
    """510 ordinary objects in ten namespaces."""
    objects: list[dict] = []
    for number in range(NAMESPACES):
        namespace = f"bench-{number}"
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"bench": "true"}}})
        for kind, count in KINDS_EACH.items():
            objects += [one_object(kind, namespace, f"{kind.lower()}-{index}") for index in range(count)]
    return objects


def one_object(kind: str, namespace: str, name: str) -> dict:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name, "team": "bench", "environment": "local"}}
    rbac = "rbac.authorization.k8s.io"
    bodies: dict[str, dict] = {
        "ConfigMap": {"apiVersion": "v1", "data": {f"key-{i}": "value " * 8 for i in range(6)}},
        "Secret": {"apiVersion": "v1", "type": "Opaque", "data": {"password": "YmVuY2htYXJr"}},
        "ServiceAccount": {"apiVersion": "v1", "automountServiceAccountToken": False},
        "Service": {
            "apiVersion": "v1",
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        "Role": {
            "apiVersion": f"{rbac}/v1",
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
        },
        "RoleBinding": {
            "apiVersion": f"{rbac}/v1",
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "role-0"},
            "subjects": [{"kind": "ServiceAccount", "name": "serviceaccount-0", "namespace": namespace}],
        },
    }
    return {"kind": kind, "metadata": metadata, **bodies[kind]}


class Tools:
    """The commands under measurement, each taking the objects of a folder."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        # Variables are read beside the playbook, and the playbook is written into this folder.
        (folder / "group_vars").symlink_to(PROJECT / "group_vars")
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(folder / "roles"),
        }

    def write(self, name: str, objects: list[dict]) -> None:
        """`name`: a set of objects, as a manifest and as a role that converges it."""
        text = yaml.safe_dump_all(objects)
        (self.folder / f"{name}.yml").write_text(text, encoding="utf-8")
        role = self.folder / "roles" / f"bench_{name}"
        (role / "templates" / "objects").mkdir(parents=True)
        (role / "tasks").mkdir()
        (role / "templates" / "objects" / "objects.yml.j2").write_text(text, encoding="utf-8")
        task = {"name": "Converge", "aegis.infra.converge": {"layer": "bench", "components": [{"name": "objects"}]}}
        (role / "tasks" / "main.yml").write_text(yaml.safe_dump([task]), encoding="utf-8")

    def kubectl(self, name: str) -> None:
        self.cluster.kubectl("apply", "--server-side", "-f", str(self.folder / f"{name}.yml"))

    def kubernetes_core(self, name: str) -> None:
        self._play(
            {
                "tasks": [
                    {
                        "kubernetes.core.k8s": {
                            "apply": True,
                            "server_side_apply": {"field_manager": "bench"},
                            "src": str(self.folder / f"{name}.yml"),
                        }
                    }
                ]
            }
        )

    def converge(self, name: str) -> None:
        self._play({"roles": [f"bench_{name}"]})

    def _play(self, what: dict) -> None:
        playbook = self.folder / "play.yml"
        play = {"name": "Bench", "hosts": "aegis", "gather_facts": False, **what}
        if "tasks" in what:
            play["module_defaults"] = {"group/kubernetes.core.k8s": {"kubeconfig": str(self.cluster.kubeconfig)}}
        playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            str(playbook),
            f"--inventory={PROJECT / 'inventories' / 'local'}",
            f"--extra-vars=@{PROJECT / 'bench' / 'base.yml'}",
            f"--extra-vars=aegis_state_dir={self.folder}",
        ]
        subprocess.run(command, check=True, env=self.environment, stdout=subprocess.DEVNULL)


def timed(action: Callable[[], None]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def clear(cluster: Cluster) -> None:
    """Remove the objects, so that the next tool's first apply is a first apply."""
    cluster.kubectl("delete", "namespace", "--selector=bench=true", "--wait=true")


def measure(cluster: Cluster, tools: Tools, objects: int, rounds: int) -> list[Measurement]:
    commands: dict[str, Callable[[str], None]] = {
        "aegis.infra.converge": tools.converge,
        "kubectl apply --server-side": tools.kubectl,
        "kubernetes.core.k8s": tools.kubernetes_core,
    }
    samples: dict[tuple[str, str], list[tuple[float, int]]] = {}
    startups: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            for case in ("first apply", "unchanged"):
                before = cluster.requests()
                seconds = timed(lambda run=command: run("objects"))
                samples.setdefault((case, name), []).append((seconds, cluster.requests() - before))
            command("single")
            startups[name].append(timed(lambda run=command: run("single")))
            clear(cluster)
    results = []
    for (case, name), taken in samples.items():
        startup = statistics.median(startups[name])
        seconds = max(statistics.median(seconds for seconds, _ in taken) - startup, 0.0)
        results.append(
            Measurement(case, name, objects, round(seconds, 2), round(startup, 2), int(statistics.median(r for _, r in taken)))
        )
    return results


def show(results: list[Measurement]) -> None:
    for case in ("first apply", "unchanged"):
        ours = next(r for r in results if r.case == case and r.tool == "aegis.infra.converge")
        print(f"\n{case}, {ours.objects} objects")
        print(f"  {'tool':30}{'seconds':>9}{'start-up':>10}{'requests':>10}{'against ours':>14}")
        for result in (r for r in results if r.case == case):
            ratio = f"{result.seconds / ours.seconds:.1f}x" if ours.seconds else "-"
            print(f"  {result.tool:30}{result.seconds:9.2f}{result.startup:10.2f}{result.requests:10}{ratio:>14}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured (default: 3)")
    rounds = parser.parse_args().rounds
    objects = bench_objects()
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as temporary:
        folder = Path(temporary)
        cluster = Cluster(folder)
        try:
            tools = Tools(folder, cluster)
            tools.write("objects", objects)
            tools.write("single", objects[:1])
            results = measure(cluster, tools, len(objects), rounds)
        finally:
            cluster.down()
    target = BENCH / "results" / "latest.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")
    show(results)


if __name__ == "__main__":
    main()
