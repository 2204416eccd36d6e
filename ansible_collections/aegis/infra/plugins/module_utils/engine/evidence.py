# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an object is not ready: its conditions, the last events, and what its pods say."""

from __future__ import annotations

from typing import Any

from .client import Client
from .discovery import Resource
from .errors import EngineError
from .objects import Object, ref_of

# Reasons of a waiting container that waiting longer does not mend.
FATAL_WAITING = frozenset({
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError",
})  # fmt: skip
_PODS = Resource("v1", "Pod", "pods", namespaced=True, has_status=True)
_LAST_EVENTS = 5
_LOG_LINES = 20


async def gather_evidence(client: Client, obj: Object) -> list[str]:
    """Lines for a person: conditions first, then events, then pods. Never raises: evidence must not hide the failure."""
    lines = [f"condition {text}" for text in conditions(obj)]
    try:
        lines += await _events(client, obj)
        for pod, reason in await failing_pods(client, obj):
            lines.append(f"pod {pod['metadata']['name']}: {reason}")
            lines += await _log_tail(client, pod)
    except EngineError as error:
        lines.append(f"(no more evidence: {error})")
    return lines


def conditions(obj: Object) -> list[str]:
    """`Ready=False NotYet: message` for every condition of the status."""
    entries = (obj.get("status") or {}).get("conditions") or []
    return [f"{c.get('type')}={c.get('status')} {c.get('reason', '')}: {c.get('message', '')}".rstrip(": ") for c in entries]


async def failing_pods(client: Client, obj: Object) -> list[tuple[Object, str]]:
    """Pods of a workload that will not start by themselves, with the reason."""
    selector = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels")
    if not selector or obj["kind"] not in ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"):
        return []
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector.items())}
    pods = await client.request("GET", _PODS.path(obj["metadata"]["namespace"]), query=query)
    return [(pod, reason) for pod in pods["items"] if (reason := _fatal_reason(pod))]


def _fatal_reason(pod: Object) -> str:
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in FATAL_WAITING:
            return f"{waiting['reason']} in container {container['name']}: {waiting.get('message', '')}".rstrip(": ")
    return ""


async def _events(client: Client, obj: Object) -> list[str]:
    ref = ref_of(obj)
    namespace = ref.namespace or "default"
    query = {"fieldSelector": f"involvedObject.name={ref.name},involvedObject.kind={ref.kind}"}
    events = (await client.request("GET", f"/api/v1/namespaces/{namespace}/events", query=query))["items"]
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return [f"event {e.get('type')} {e.get('reason')}: {e.get('message', '')}" for e in events[-_LAST_EVENTS:]]


async def _log_tail(client: Client, pod: Object) -> list[str]:
    meta: dict[str, Any] = pod["metadata"]
    try:
        text = await client.request(
            "GET",
            _PODS.path(meta["namespace"], meta["name"]) + "/log",
            query={"tailLines": str(_LOG_LINES)},
            accept="*/*",
        )
    except EngineError:
        return []
    return [f"  log {line}" for line in str(text).splitlines()]
