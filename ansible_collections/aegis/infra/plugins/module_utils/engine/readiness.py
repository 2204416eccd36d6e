# SPDX-License-Identifier: GPL-3.0-or-later
"""When an object is ready, and when it will never be.

The rules for built-in kinds follow kstatus (sigs.k8s.io/cli-utils), with its traps closed: a Deployment
needs its updated replicas, a Job must complete, a custom resource without a status is not ready yet.
Custom kinds bring rules of their own as data (HealthRule).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import ChainableUndefined
from jinja2.sandbox import SandboxedEnvironment

from .objects import Object, condition


@dataclass(frozen=True)
class Verdict:
    """state: ready | waiting | failed, and why."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class HealthRule:
    """Readiness of a custom kind as Jinja expressions over `object`, `spec`, `status`, `metadata`, `condition(type)`.

    ready: all must hold. failed: any means it is failing. message: what to tell people.
    grace: seconds a failure must last before it counts, since operators repair themselves.
    """

    ready: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    message: str = ""
    grace: float = 10.0


READY = Verdict("ready")
_JINJA = SandboxedEnvironment(undefined=ChainableUndefined)


def assess(obj: Object, rules: dict[str, HealthRule], expects_status: bool) -> Verdict:
    """Judge an object. rules: by `Kind.group`. expects_status: its kind has a status that somebody must write."""
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict("waiting", "is being deleted")
    group = obj["apiVersion"].rpartition("/")[0]
    name = f"{obj['kind']}.{group}" if group else obj["kind"]
    if name in rules:
        return _by_rule(obj, rules[name])
    if name in _BUILT_IN:
        return _BUILT_IN[name](obj)
    if not group or group.endswith(".k8s.io") or "." not in group:
        return READY  # a built-in kind without a state, such as ConfigMap or Role
    return _custom(obj, expects_status)


def _by_rule(obj: Object, rule: HealthRule) -> Verdict:
    scope = {
        "object": obj,
        "spec": obj.get("spec") or {},
        "status": obj.get("status") or {},
        "metadata": obj["metadata"],
        "condition": lambda kind: condition(obj, kind),
    }
    message = str(_evaluate(rule.message, scope) or "") if rule.message else ""
    for expression in rule.failed:
        if _evaluate(expression, scope):
            return Verdict("failed", message or expression)
    for expression in rule.ready:
        if not _evaluate(expression, scope):
            return Verdict("waiting", message or f"not yet: {expression}")
    return READY


@lru_cache(maxsize=256)
def _compiled(expression: str) -> Callable[..., Any]:
    return _JINJA.compile_expression(expression, undefined_to_none=True)


def _evaluate(expression: str, scope: dict[str, Any]) -> Any:
    return _compiled(expression)(**scope)


def _observed(obj: Object) -> bool:
    """Whether the status speaks of the present spec."""
    return (obj.get("status") or {}).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)


def _deployment(obj: Object) -> Verdict:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if condition(obj, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return Verdict("failed", condition(obj, "Progressing").get("message", "made no progress"))
    return _replicas(
        obj,
        spec.get("replicas", 1),
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        status.get("replicas", 0),
    )


def _stateful_set(obj: Object) -> Verdict:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    wanted = spec.get("replicas", 1)
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    updated = wanted if on_delete or partition else status.get("updatedReplicas", 0)
    return _replicas(obj, wanted, updated, status.get("readyReplicas", 0), status.get("replicas", 0))


def _daemon_set(obj: Object) -> Verdict:
    status = obj.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    return _replicas(obj, wanted, status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0), wanted)


def _replicas(obj: Object, wanted: int, updated: int, available: int, existing: int) -> Verdict:
    if not _observed(obj):
        return Verdict("waiting", "its controller has not seen the change yet")
    if updated < wanted:
        return Verdict("waiting", f"{updated} of {wanted} replicas updated")
    if existing > wanted:
        return Verdict("waiting", f"{existing - wanted} old replicas still there")
    if available < wanted:
        return Verdict("waiting", f"{available} of {wanted} replicas available")
    return READY


def _job(obj: Object) -> Verdict:
    if condition(obj, "Failed").get("status") == "True":
        return Verdict("failed", condition(obj, "Failed").get("message", "the job failed"))
    if condition(obj, "Complete").get("status") == "True" or (obj.get("spec") or {}).get("suspend"):
        return READY
    return Verdict("waiting", f"{(obj.get('status') or {}).get('active', 0)} pods active")


def _pod(obj: Object) -> Verdict:
    phase = (obj.get("status") or {}).get("phase", "")
    if phase == "Failed":
        return Verdict("failed", (obj["status"].get("message") or "the pod failed"))
    if phase == "Succeeded" or condition(obj, "Ready").get("status") == "True":
        return READY
    return Verdict("waiting", phase or "not started")


def _claim(obj: Object) -> Verdict:
    """A claim may wait for its first consumer, which is not ours to wait for."""
    phase = (obj.get("status") or {}).get("phase", "Pending")
    return Verdict("failed", "its volume is lost") if phase == "Lost" else READY


def _service(obj: Object) -> Verdict:
    if (obj.get("spec") or {}).get("type") != "LoadBalancer":
        return READY
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    return READY if ingress else Verdict("waiting", "no load balancer address yet")


def _namespace(obj: Object) -> Verdict:
    return READY if (obj.get("status") or {}).get("phase") == "Active" else Verdict("waiting", "not active")


def _definition(obj: Object) -> Verdict:
    names = condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return Verdict("failed", names.get("message", "its names are taken"))
    return READY if condition(obj, "Established").get("status") == "True" else Verdict("waiting", "not established")


def _api_service(obj: Object) -> Verdict:
    available = condition(obj, "Available")
    return READY if available.get("status") == "True" else Verdict("waiting", available.get("message", "not available"))


def _custom(obj: Object, expects_status: bool) -> Verdict:
    status = obj.get("status") or {}
    if not status and expects_status:
        return Verdict("waiting", "has no status yet")
    if "observedGeneration" in status and not _observed(obj):
        return Verdict("waiting", "its controller has not seen the change yet")
    stalled = condition(obj, "Stalled")
    if stalled.get("status") == "True":
        return Verdict("failed", stalled.get("message", "stalled"))
    ready = condition(obj, "Ready")
    if ready and ready.get("status") != "True":
        return Verdict("waiting", ready.get("message") or ready.get("reason", "not ready"))
    return READY


_BUILT_IN: dict[str, Callable[[Object], Verdict]] = {
    "Deployment.apps": _deployment,
    "StatefulSet.apps": _stateful_set,
    "DaemonSet.apps": _daemon_set,
    "Job.batch": _job,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
    "Service": _service,
    "Namespace": _namespace,
    "CustomResourceDefinition.apiextensions.k8s.io": _definition,
    "APIService.apiregistration.k8s.io": _api_service,
}
