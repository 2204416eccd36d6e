# SPDX-License-Identifier: GPL-3.0-or-later
"""When objects are ready: a row a rule, among them the cases that other engines get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.engine.readiness import HealthRule, assess

OBSERVED = {"observedGeneration": 2}


def obj(api: str, kind: str, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x", "generation": 2}, "spec": spec, "status": status or {}}


def conditions(*entries: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, **more} for kind, status in entries]}


ROWS = {
    "deployment with all replicas": (
        obj("apps/v1", "Deployment", {**OBSERVED, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}, replicas=3),
        "ready",
    ),
    "deployment before its rollout started": (
        obj("apps/v1", "Deployment", {**OBSERVED, "replicas": 3, "updatedReplicas": 0, "availableReplicas": 3}, replicas=3),
        "waiting",
    ),
    "deployment whose controller has not looked": (
        obj(
            "apps/v1",
            "Deployment",
            {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
            replicas=1,
        ),
        "waiting",
    ),
    "deployment with an old replica left": (
        obj("apps/v1", "Deployment", {**OBSERVED, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 4}, replicas=3),
        "waiting",
    ),
    "deployment past its deadline": (
        obj("apps/v1", "Deployment", conditions(("Progressing", "False"), reason="ProgressDeadlineExceeded"), replicas=1),
        "failed",
    ),
    "stateful set not updated": (
        obj("apps/v1", "StatefulSet", {**OBSERVED, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 3}, replicas=3),
        "waiting",
    ),
    "stateful set scaled to nothing": (obj("apps/v1", "StatefulSet", {**OBSERVED}, replicas=0), "ready"),
    "pod without container statuses": (obj("v1", "Pod", {"phase": "Pending", "containerStatuses": []}), "waiting"),
    "pod that is ready": (obj("v1", "Pod", {"phase": "Running", **conditions(("Ready", "True"))}), "ready"),
    "pod that failed": (obj("v1", "Pod", {"phase": "Failed"}), "failed"),
    "job that runs": (obj("batch/v1", "Job", {"active": 1}), "waiting"),
    "job that is complete": (obj("batch/v1", "Job", conditions(("Complete", "True"))), "ready"),
    "job that failed": (obj("batch/v1", "Job", conditions(("Failed", "True"))), "failed"),
    "load balancer without an address": (obj("v1", "Service", {"loadBalancer": {}}, type="LoadBalancer"), "waiting"),
    "load balancer with one": (
        obj("v1", "Service", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}, type="LoadBalancer"),
        "ready",
    ),
    "service inside the cluster": (obj("v1", "Service", type="ClusterIP"), "ready"),
    "claim that waits for its consumer": (obj("v1", "PersistentVolumeClaim", {"phase": "Pending"}), "ready"),
    "claim that lost its volume": (obj("v1", "PersistentVolumeClaim", {"phase": "Lost"}), "failed"),
    "definition before it is served": (
        obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions(("NamesAccepted", "True"))),
        "waiting",
    ),
    "definition whose names are taken": (
        obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions(("NamesAccepted", "False"))),
        "failed",
    ),
    "configuration": (obj("v1", "ConfigMap"), "ready"),
    "role": (obj("rbac.authorization.k8s.io/v1", "Role"), "ready"),
    "custom resource that nobody looked at": (obj("test.example.com/v1", "Thing"), "waiting"),
    "custom resource that is not ready": (obj("test.example.com/v1", "Thing", conditions(("Ready", "False"))), "waiting"),
    "custom resource that is stalled": (obj("test.example.com/v1", "Thing", conditions(("Stalled", "True"))), "failed"),
    "custom resource with an old verdict": (
        obj("test.example.com/v1", "Thing", {"observedGeneration": 1, **conditions(("Ready", "True"))}),
        "waiting",
    ),
    "custom resource that is ready": (
        obj("test.example.com/v1", "Thing", {**OBSERVED, **conditions(("Ready", "True"))}),
        "ready",
    ),
}


@pytest.mark.parametrize(("live", "expected"), ROWS.values(), ids=ROWS.keys())
def test_built_in_rules(live: dict[str, Any], expected: str) -> None:
    assert assess(live, {}, expects_status=True).state == expected


def test_an_object_on_its_way_out_is_not_ready() -> None:
    live = obj("v1", "ConfigMap")
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert assess(live, {}, expects_status=False).state == "waiting"


RULE = {
    "Thing.test.example.com": HealthRule(
        ready=("status.phase == 'up'", "status.members | length == spec.members"),
        failed=("condition('NotReady').status == 'True' and condition('NotReady').reason != 'Creating'",),
        message="(status.phase or 'nothing') ~ ' ' ~ (condition('NotReady').message or '')",
    )
}


@pytest.mark.parametrize(
    ("status", "expected", "reason"),
    [
        ({"phase": "up", "members": [1, 2]}, "ready", ""),
        ({"phase": "up", "members": [1]}, "waiting", "up"),
        ({}, "waiting", "nothing"),
        (conditions(("NotReady", "True"), reason="Creating"), "waiting", "nothing"),
        (conditions(("NotReady", "True"), reason="Broken", message="no quorum"), "failed", "no quorum"),
    ],
)
def test_a_rule_of_a_custom_kind(status: dict[str, Any], expected: str, reason: str) -> None:
    verdict = assess(obj("test.example.com/v1", "Thing", status, members=2), RULE, expects_status=True)
    assert verdict.state == expected
    assert reason in verdict.reason
