# SPDX-License-Identifier: GPL-3.0-or-later
"""Action side of aegis.infra.converge: render a layer's components and hand them to the engine."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aegis.infra.plugins.module_utils.catalog import CrdSet
from ansible_collections.aegis.infra.plugins.module_utils.engine.client import connect
from ansible_collections.aegis.infra.plugins.module_utils.engine.converge import (
    PEOPLE,
    Component,
    Options,
    Result,
    converge,
    offline_plan,
)
from ansible_collections.aegis.infra.plugins.module_utils.engine.diff import as_text, changed_paths
from ansible_collections.aegis.infra.plugins.module_utils.engine.errors import EngineError
from ansible_collections.aegis.infra.plugins.module_utils.model.cluster import ClusterConfig, Provider
from ansible_collections.aegis.infra.plugins.plugin_utils.components import ComponentFactory
from ansible_collections.aegis.infra.plugins.plugin_utils.platform import load_platform, selected_components


class ActionModule(ActionBase):
    """Runs on the controller; documented in plugins/modules/converge.py."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "layer": {"type": "str", "required": True},
                "components": {"type": "list", "elements": "dict", "required": True},
                "wait": {"type": "bool", "default": True},
                "overrule": {"type": "list", "elements": "str", "default": list(PEOPLE)},
            }
        )
        environment, release = load_platform(variables, self._templar)

        def helm_template(module_args: dict[str, Any]) -> dict[str, Any]:
            return self._execute_module(module_name="kubernetes.core.helm_template", module_args=module_args, task_vars=variables)

        factory = ComponentFactory(environment, release, variables["role_path"], self._templar, helm_template)
        entries = factory.enabled(arguments["components"])
        chosen = selected_components(arguments["layer"], [entry["name"] for entry in entries], variables)
        components = factory.build([entry for entry in entries if entry["name"] in chosen])
        if not components:
            return {"changed": False, "skipped": True, "skip_reason": "no component of this layer is selected"}
        options = Options(self._task.check_mode, arguments["wait"], tuple(arguments["overrule"]))
        return self._report(self._converge(environment.cluster, components, options), factory.definitions)

    def _converge(self, cluster: ClusterConfig, components: list[Component], options: Options) -> Result:
        to_be_made = cluster.provider is Provider.LOCAL and not os.path.exists(os.path.expanduser(cluster.kubeconfig))
        try:
            if options.check and to_be_made:
                self._tell("the cluster does not exist yet, so no server checks these objects")
                return offline_plan(components)
            return asyncio.run(self._run_engine(cluster, components, options))
        except EngineError as error:
            raise AnsibleActionFail(str(error)) from error

    async def _run_engine(self, cluster: ClusterConfig, components: list[Component], options: Options) -> Result:
        async with connect(cluster.kubeconfig, cluster.context) as client:
            await client.check()
            return await converge(client, components, options, self._tell)

    def _tell(self, line: str) -> None:
        self._display.display(f"  {line}")

    def _report(self, result: Result, definitions: dict[str, CrdSet]) -> dict[str, Any]:
        changed = [outcome for outcome in result.outcomes if outcome.changed]
        if self._task.check_mode:
            for outcome in changed:
                self._tell(f"would be {outcome.action}: {outcome.ref}" + (f" ({outcome.note})" if outcome.note else ""))
        for name, crds in definitions.items():
            if crds.placeholders:
                self._tell(f"{name}: placeholder definitions, which accept anything, for {', '.join(crds.placeholders)}")
        report: dict[str, Any] = {
            "changed": bool(changed),
            "objects": [
                {
                    "object": str(outcome.ref),
                    "action": outcome.action,
                    "fields": changed_paths(outcome.before, outcome.live),
                    "taken_from": outcome.taken_from,
                    "note": outcome.note,
                }
                for outcome in result.outcomes
            ],
            "definitions": {name: crds.origin for name, crds in definitions.items()},
            "counts": {
                action: sum(outcome.action == action for outcome in result.outcomes)
                for action in ("created", "changed", "unchanged", "failed")
            },
            "seconds": round(result.seconds, 2),
            "requests": result.requests,
            "retries": result.retries,
        }
        if self._task.diff:
            report["diff"] = [
                {
                    "before_header": str(o.ref),
                    "after_header": str(o.ref),
                    "before": as_text(o.before),
                    "after": as_text(o.live),
                }
                for o in changed
            ]
        failures = [f"{c.name}: {text}" for c in result.components for text in [*c.failures, *([c.blocked] if c.blocked else [])]]
        if failures:
            report |= {"failed": True, "msg": "\n".join(failures)}
        return report
