# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds a server has, and under which path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .client import Client
from .objects import Object, Ref

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    """A kind as a server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    has_status: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of the collection, or of one object in it."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Discovery:
    """The kinds of one server; `refresh` after definitions were added."""

    def __init__(self, resources: dict[tuple[str, str], Resource] | None = None) -> None:
        self._resources = resources or {}

    async def refresh(self, client: Client) -> None:
        """Two requests: the server lists all groups with all their resources."""
        resources: dict[tuple[str, str], Resource] = {}
        for path in ("/api", "/apis"):
            for group in (await client.request("GET", path, accept=_AGGREGATED))["items"]:
                for version in group["versions"]:
                    for resource in _resources(group["metadata"].get("name", ""), version):
                        resources[resource.api_version, resource.kind] = resource
        self._resources = resources

    def find(self, api_version: str, kind: str) -> Resource | None:
        return self._resources.get((api_version, kind))

    def find_kind(self, group_kind: str) -> Resource | None:
        """The resource for `Kind.group` (`Kind` in the core group), whatever its version."""
        kind, _, group = group_kind.partition(".")
        for (api_version, name), resource in self._resources.items():
            if name == kind and api_version.rpartition("/")[0] == group:
                return resource
        return None

    def of(self, ref: Ref) -> Resource | None:
        return self.find(ref.api_version, ref.kind)


def _resources(group: str, version: dict[str, Any]) -> list[Resource]:
    api_version = f"{group}/{version['version']}" if group else version["version"]
    return [
        Resource(
            api_version,
            entry["responseKind"]["kind"],
            entry["resource"],
            entry["scope"] == "Namespaced",
            any(sub["subresource"] == "status" for sub in entry.get("subresources") or []),
        )
        for entry in version.get("resources") or []
        if entry.get("responseKind")
    ]


def resources_of_crd(crd: Object) -> list[Resource]:
    """The resources a CustomResourceDefinition will add once it is established."""
    spec = crd["spec"]
    names = spec["names"]
    return [
        Resource(
            f"{spec['group']}/{version['name']}",
            names["kind"],
            names["plural"],
            spec["scope"] == "Namespaced",
            "status" in (version.get("subresources") or {}),
        )
        for version in spec["versions"]
        if version.get("served", True)
    ]
