# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about what the platform promises its applications: names, ports, endpoints, readiness."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.aegis.infra.plugins.module_utils.engine.discovery import Resource
from ansible_collections.aegis.infra.plugins.module_utils.engine.objects import Object, Ref
from ansible_collections.aegis.infra.plugins.module_utils.engine.readiness import HealthRule, assess

from .check import Check, verdict


def resource_ready(ref: Ref, live: Object | None, resource: Resource | None, rules: dict[str, HealthRule]) -> Check:
    """A declared object exists and is ready by the rule of its kind."""
    name = str(ref)
    if live is None:
        return Check("resources", name, "fail", "does not exist")
    state = assess(live, rules, bool(resource and resource.has_status))
    return Check("resources", name, "pass", "ready") if state.state == "ready" else Check("resources", name, "fail", state.reason)


def service_contract(name: str, namespace: str, ports: Iterable[int], service: Object | None, slices: list[Object]) -> Check:
    """A Service has its ports, and ready endpoints behind them."""
    label = f"{name}.{namespace}"
    if service is None:
        return Check("services", label, "fail", "the Service does not exist")
    offered = {port["port"] for port in service["spec"].get("ports") or []}
    problems = [f"port {port} is not offered" for port in ports if port not in offered]
    ready = ready_endpoints(slices)
    if not ready:
        problems.append("no ready endpoint behind it")
    return verdict("services", label, problems, f"ports {', '.join(map(str, ports))}, {len(ready)} ready endpoints")


def ready_endpoints(slices: list[Object]) -> set[str]:
    """Addresses of EndpointSlices that take traffic."""
    return {
        address
        for entry in slices
        for endpoint in entry.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"]
    }


def definitions(crds: list[Object]) -> Check:
    """Whether objects were validated by upstream's schemas or by placeholders that accept anything."""
    ours = [crd for crd in crds if (crd["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "aegis.infra"]
    placeholders = sorted(
        crd["metadata"]["name"]
        for crd in ours
        if (crd["metadata"].get("annotations") or {}).get("aegis.infra/placeholder") == "true"
    )
    if placeholders:
        return Check(
            "resources",
            "upstream definitions",
            "skip",
            f"placeholders, which accept anything: {', '.join(placeholders)}",
        )
    return verdict(
        "resources",
        "upstream definitions",
        [] if ours else ["none installed"],
        f"{len(ours)} installed, all upstream's",
    )
