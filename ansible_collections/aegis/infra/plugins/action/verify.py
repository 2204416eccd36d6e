# SPDX-License-Identifier: GPL-3.0-or-later
"""Action side of aegis.infra.verify: ask the cluster whether it is what the inventory declares."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aegis.infra.plugins.module_utils.checks import cluster as cluster_checks
from ansible_collections.aegis.infra.plugins.module_utils.checks import services as service_checks
from ansible_collections.aegis.infra.plugins.module_utils.checks.check import Check
from ansible_collections.aegis.infra.plugins.module_utils.engine.apply import list_objects, read_one
from ansible_collections.aegis.infra.plugins.module_utils.engine.client import Client, connect
from ansible_collections.aegis.infra.plugins.module_utils.engine.converge import Component
from ansible_collections.aegis.infra.plugins.module_utils.engine.discovery import Discovery
from ansible_collections.aegis.infra.plugins.module_utils.engine.errors import EngineError
from ansible_collections.aegis.infra.plugins.module_utils.engine.objects import Object, Ref, ref_of
from ansible_collections.aegis.infra.plugins.module_utils.model.environment import Environment
from ansible_collections.aegis.infra.plugins.module_utils.report.checks import check_table, table, write_reports
from ansible_collections.aegis.infra.plugins.plugin_utils.components import ComponentFactory
from ansible_collections.aegis.infra.plugins.plugin_utils.platform import load_platform, selected_components


class ActionModule(ActionBase):
    """Runs on the controller; documented in plugins/modules/verify.py."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "layers": {"type": "list", "elements": "dict", "required": True},
                "services": {"type": "list", "elements": "dict", "required": True},
                "answers": {"type": "list", "elements": "dict", "required": True},
                "report_dir": {"type": "path", "required": True},
            }
        )
        environment, release = load_platform(variables, self._templar)
        if self._task.check_mode and not Path(environment.cluster.kubeconfig).expanduser().exists():
            return {"changed": False, "skipped": True, "skip_reason": "the cluster does not exist yet"}
        components: list[Component] = []
        for layer in arguments["layers"]:
            factory = ComponentFactory(environment, release, layer["role_path"], self._templar, lambda args: {"failed": True})
            entries = [entry | {"definitions": False, "chart": ""} for entry in factory.enabled(layer["components"])]
            chosen = selected_components("verify", [entry["name"] for entry in entries], variables)
            components += factory.build([entry for entry in entries if entry["name"] in chosen])
        services = [service for service in arguments["services"] if environment.sections()[service["settings"]]["enabled"]]
        answers = [answer for answer in arguments["answers"] if environment.sections()[answer["settings"]]["enabled"]]
        try:
            inspection = asyncio.run(_inspect(environment, components, services))
        except EngineError as error:
            raise AnsibleActionFail(str(error)) from error
        checks = inspection.checks + [self._answer(environment, answer, inspection, variables) for answer in answers]
        return self._report(environment, checks, services, Path(arguments["report_dir"]))

    def _answer(
        self, environment: Environment, answer: dict[str, Any], inspection: Inspection, variables: dict[str, Any]
    ) -> Check:
        """Whether a system answers its own client, asked inside one of its pods."""
        pods = inspection.pods_of(answer["namespace"], answer["selector"])
        if not pods:
            return Check("answers", answer["name"], "fail", f"no running pod with {answer['selector']} in {answer['namespace']}")
        if all(inspection.runs_nothing(pod) for pod in pods):
            return Check("answers", answer["name"], "skip", "skipped (simulated): its pods run nothing")
        result = self._execute_module(
            module_name="kubernetes.core.k8s_exec",
            module_args={
                "kubeconfig": environment.cluster.kubeconfig,
                "context": environment.cluster.context or None,
                "namespace": answer["namespace"],
                "pod": pods[0]["metadata"]["name"],
                "container": answer["container"],
                "command": answer["command"],
            },
            task_vars=variables,
        )
        output = f"{result.get('stdout', '')}{result.get('stderr', '')}".strip()
        good = not result.get("failed") and answer["expect"] in output
        return Check(
            "answers",
            answer["name"],
            "pass" if good else "fail",
            (output or str(result.get("msg", "no output")))[-200:],
        )

    def _report(
        self, environment: Environment, checks: list[Check], services: list[dict[str, Any]], folder: Path
    ) -> dict[str, Any]:
        for line in check_table(checks):
            self._display.display(f"  {line}")
        json_path, xml_path = write_reports(folder, environment.platform.environment, checks)
        rows = [(s["use"], f"{s['name']}.{s['namespace']}.svc.cluster.local", ", ".join(map(str, s["ports"]))) for s in services]
        self._display.display("")
        for line in table(("SERVICE", "ADDRESS", "PORTS"), rows):
            self._display.display(f"  {line}")
        self._display.display(f"\n  kubeconfig  {environment.cluster.kubeconfig}\n  reports     {json_path}, {xml_path.name}\n")
        failed = [check for check in checks if check.failed]
        result: dict[str, Any] = {
            "changed": False,
            "checks": [vars(check) for check in checks],
            "report": str(json_path),
        }
        if failed and not self._task.check_mode:
            listed = "\n".join(f"  {check.group}: {check.name}: {check.evidence}" for check in failed)
            result |= {"failed": True, "msg": f"{len(failed)} of {len(checks)} checks failed:\n{listed}"}
        return result


class Inspection:
    """What was read from the cluster, and the checks made of it."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.simulated_nodes: set[str] = set()
        self.pods: list[Object] = []

    def pods_of(self, namespace: str, selector: dict[str, str]) -> list[Object]:
        """Running pods of a namespace that carry all the labels."""
        return [
            pod
            for pod in self.pods
            if pod["metadata"]["namespace"] == namespace
            and selector.items() <= (pod["metadata"].get("labels") or {}).items()
            and (pod.get("status") or {}).get("phase") == "Running"
        ]

    def runs_nothing(self, pod: Object) -> bool:
        return (pod.get("spec") or {}).get("nodeName") in self.simulated_nodes


async def _inspect(environment: Environment, components: list[Component], services: list[dict[str, Any]]) -> Inspection:
    inspection = Inspection()
    async with connect(environment.cluster.kubeconfig, environment.cluster.context) as client:
        inspection.checks.append(cluster_checks.server_version(environment.cluster, await client.check()))
        reader = _Reader(client)
        await reader.discovery.refresh(client)
        nodes = await reader.every("Node")
        inspection.simulated_nodes = {node["metadata"]["name"] for node in nodes if cluster_checks.is_simulated(node)}
        inspection.checks.append(cluster_checks.nodes_ready(nodes))
        inspection.checks += cluster_checks.node_pools(environment.cluster, nodes)
        inspection.checks.append(cluster_checks.namespaces(environment, await reader.every("Namespace")))
        inspection.checks.append(service_checks.definitions(await reader.every("CustomResourceDefinition.apiextensions.k8s.io")))
        for component in components:
            inspection.checks += await reader.component(component)
        for service in services:
            inspection.checks.append(await reader.service(service))
        inspection.pods = await reader.every("Pod")
    return inspection


class _Reader:
    """Reads objects by kind."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.discovery = Discovery()

    async def every(self, group_kind: str, namespace: str = "", query: dict[str, str] | None = None) -> list[Object]:
        resource = self.discovery.find_kind(group_kind)
        return [item async for item in list_objects(self.client, resource, namespace, query)] if resource else []

    async def one(self, ref: Ref) -> Object | None:
        resource = self.discovery.of(ref)
        return await read_one(self.client, resource, ref) if resource else None

    async def component(self, component: Component) -> list[Check]:
        """A check for every object of a component that has a state of its own."""
        refs = [ref_of(obj) for obj in component.objects]
        refs = [Ref(r.api_version, r.kind, r.namespace or component.namespace, r.name) for r in refs] + list(component.wait_for)
        stateful = [
            ref
            for ref in refs
            if ref.group_kind in component.health or ref.kind in ("Deployment", "StatefulSet", "DaemonSet", "Job")
        ]
        return [
            service_checks.resource_ready(ref, await self.one(ref), self.discovery.of(ref), component.health) for ref in stateful
        ]

    async def service(self, service: dict[str, Any]) -> Check:
        found = await self.one(Ref("v1", "Service", service["namespace"], service["name"]))
        query = {"labelSelector": f"kubernetes.io/service-name={service['name']}"}
        slices = await self.every("EndpointSlice.discovery.k8s.io", service["namespace"], query)
        return service_checks.service_contract(service["name"], service["namespace"], service["ports"], found, slices)
