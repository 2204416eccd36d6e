# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that place pods on node pools and spread them."""

from __future__ import annotations

from typing import Any


def pool_node_selector(node_configs: dict[str, Any], pool: str) -> dict[str, str]:
    """Labels that only the nodes of `pool` have: a pod's nodeSelector. Empty without a pool."""
    return dict(node_configs[pool]["labels"]) if pool else {}


def pool_tolerations(node_configs: dict[str, Any], pool: str) -> list[dict[str, str]]:
    """A toleration for every taint of `pool`. Empty without a pool."""
    if not pool:
        return []
    return [
        {"key": taint["key"], "operator": "Equal" if taint["value"] else "Exists", "effect": taint["effect"]}
        | ({"value": taint["value"]} if taint["value"] else {})
        for taint in node_configs[pool]["taints"]
    ]


def zone_spread(labels: dict[str, str], policy: str = "preferred") -> list[dict[str, Any]]:
    """topologySpreadConstraints over zones, then nodes, for the pods with `labels`.

    policy: `required` leaves a pod Pending rather than crowding a zone; nodes are always a preference.
    """
    when_unsatisfiable = {"required": "DoNotSchedule", "preferred": "ScheduleAnyway"}
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": when_unsatisfiable[rule],
            "labelSelector": {"matchLabels": labels},
        }
        for key, rule in (("topology.kubernetes.io/zone", policy), ("kubernetes.io/hostname", "preferred"))
    ]


class FilterModule:
    """Filters of the collection that concern placement."""

    def filters(self) -> dict[str, Any]:
        return {
            "pool_node_selector": pool_node_selector,
            "pool_tolerations": pool_tolerations,
            "zone_spread": zone_spread,
        }
