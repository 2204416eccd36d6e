# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity of objects, and the order in which kinds are sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import PlanError

Object = dict[str, Any]

# Sent first because the others need them to exist; sent last because they act on the others.
_FOUNDATION = frozenset({"Namespace", "CustomResourceDefinition"})
_REFERENCED = frozenset({
    "ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Secret", "ConfigMap", "StorageClass",
    "PriorityClass", "PersistentVolume", "PersistentVolumeClaim", "ResourceQuota", "LimitRange", "NetworkPolicy", "Service",
})  # fmt: skip
_ACTS_ON_OTHERS = frozenset({"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "APIService"})
# Built-in kinds without a namespace, for when there is no server to ask.
_CLUSTER_SCOPED = _FOUNDATION | _ACTS_ON_OTHERS | {
    "ClusterRole", "ClusterRoleBinding", "StorageClass", "PriorityClass", "PersistentVolume", "IngressClass", "CSIDriver",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Ref:
    """Which object: API version, kind, namespace ("" when cluster-scoped) and name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def group_kind(self) -> str:
        """`Kind.group`, or `Kind` alone in the core group."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"


def ref_of(obj: Object) -> Ref:
    """The identity of an object as it is written (its namespace may still be missing)."""
    meta = obj["metadata"]
    return Ref(obj["apiVersion"], obj["kind"], meta.get("namespace", ""), meta["name"])


def wave_of(obj: Object) -> int:
    """The wave an object is sent in: 0 foundations, 1 what others refer to, 2 the rest, 3 what acts on others."""
    kind = obj["kind"]
    if kind in _FOUNDATION:
        return 0
    if kind in _ACTS_ON_OTHERS:
        return 3
    return 1 if kind in _REFERENCED else 2


def is_cluster_scoped(obj: Object) -> bool:
    """Whether a built-in kind lives outside namespaces."""
    return obj["kind"] in _CLUSTER_SCOPED


def refuse_duplicates(objects: Iterable[Object]) -> None:
    """Raise PlanError when the same object is declared twice: the last one would win by chance."""
    counted = Counter(ref_of(obj) for obj in objects)
    repeated = sorted(str(ref) for ref, count in counted.items() if count > 1)
    if repeated:
        raise PlanError(f"declared more than once: {', '.join(repeated)}; keep one of each")


def condition(obj: Object, kind: str) -> dict[str, Any]:
    """The condition of that type in an object's status, or {}."""
    for entry in (obj.get("status") or {}).get("conditions") or []:
        if entry.get("type") == kind:
            return entry
    return {}
