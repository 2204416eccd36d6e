# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the cluster itself: version, nodes, namespaces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.aegis.infra.plugins.module_utils.engine.objects import Object, condition
from ansible_collections.aegis.infra.plugins.module_utils.model.cluster import ClusterConfig, NodeConfig
from ansible_collections.aegis.infra.plugins.module_utils.model.environment import Environment

from .check import Check, verdict

ZONE = "topology.kubernetes.io/zone"
# KWOK marks the nodes it plays, https://kwok.sigs.k8s.io/docs/user/kwok-manage-nodes-and-pods/
SIMULATED_NODE = ("kwok.x-k8s.io/node", "fake")


def is_simulated(node: Object) -> bool:
    """Whether a node has no kubelet behind it, so that its pods run nothing."""
    key, value = SIMULATED_NODE
    return (node["metadata"].get("annotations") or {}).get(key) == value


def server_version(cluster: ClusterConfig, server: str) -> Check:
    """The server's minor version is the one the inventory asks for."""
    wanted = cluster.kubernetes_version.split(".")[:2]
    problems = (
        []
        if server.split(".")[:2] == wanted
        else [f"the server runs {server}, the inventory asks for {cluster.kubernetes_version}"]
    )
    return verdict("cluster", "Kubernetes version", problems, server)


def nodes_ready(nodes: list[Object]) -> Check:
    """Every node is Ready."""
    problems = [] if nodes else ["there are no nodes"]
    for node in nodes:
        ready = condition(node, "Ready")
        if ready.get("status") != "True":
            problems.append(
                f"{node['metadata']['name']} is not Ready: {ready.get('reason', 'unknown')} {ready.get('message', '')}".rstrip()
            )
    return verdict("cluster", "nodes Ready", problems, f"{len(nodes)} nodes")


def node_pools(cluster: ClusterConfig, nodes: list[Object]) -> Iterable[Check]:
    """Every pool has the nodes its size asks for, spread over the zones, with the pool's taints."""
    for name, pool in sorted(cluster.node_configs.items()):
        yield _node_pool(cluster, name, pool, [node for node in nodes if _in_pool(node, pool)])


def _in_pool(node: Object, pool: NodeConfig) -> bool:
    labels = node["metadata"].get("labels") or {}
    return bool(pool.labels) and all(labels.get(key) == value for key, value in pool.labels.items())


def _node_pool(cluster: ClusterConfig, name: str, pool: NodeConfig, nodes: list[Object]) -> Check:
    zones: dict[str, int] = {}
    for node in nodes:
        zone = (node["metadata"].get("labels") or {}).get(ZONE, "no zone")
        zones[zone] = zones.get(zone, 0) + 1
    problems = []
    if not pool.min_size <= len(nodes) <= pool.max_size:
        problems.append(f"{len(nodes)} nodes, allowed {pool.min_size} to {pool.max_size}")
    expected = min(len(nodes), len(cluster.availability_zones))
    if len(zones.keys() & set(cluster.availability_zones)) < expected:
        problems.append(
            f"spread over {', '.join(sorted(zones)) or 'no zone'}; expected {expected} of {', '.join(cluster.availability_zones)}"
        )
    for node in nodes:
        missing = [taint.key for taint in pool.taints if not _has_taint(node, taint.key, taint.value, taint.effect)]
        if missing:
            problems.append(f"{node['metadata']['name']} lacks the taint {', '.join(missing)}")
    return verdict(
        "cluster", f"node pool {name}", problems, ", ".join(f"{zone}: {count}" for zone, count in sorted(zones.items()))
    )


def _has_taint(node: Object, key: str, value: str, effect: str) -> bool:
    taints: list[dict[str, Any]] = (node.get("spec") or {}).get("taints") or []
    return any((t["key"], t.get("value", ""), t["effect"]) == (key, value, effect) for t in taints)


def namespaces(environment: Environment, existing: list[Object]) -> Check:
    """Every namespace of the platform exists with the labels our policies ask for."""
    found = {item["metadata"]["name"]: item for item in existing}
    problems = []
    for name, settings in sorted(environment.namespaces.items()):
        if name not in found:
            problems.append(f"{name} is missing")
            continue
        wanted = {
            "team": environment.platform.team,
            "environment": environment.platform.environment,
            "pod-security.kubernetes.io/enforce": settings.pod_security,
        }
        labels = found[name]["metadata"].get("labels") or {}
        problems += [
            f"{name}: label {key} is {labels.get(key)!r}, should be {value!r}"
            for key, value in wanted.items()
            if labels.get(key) != value
        ]
    return verdict("cluster", "namespaces", problems, ", ".join(sorted(environment.namespaces)))
