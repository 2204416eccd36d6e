# SPDX-License-Identifier: GPL-3.0-or-later
"""Action side of aegis.infra.cluster_info: does the cluster answer, and which version is it."""

from __future__ import annotations

import asyncio
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aegis.infra.plugins.module_utils.engine.client import connect
from ansible_collections.aegis.infra.plugins.module_utils.engine.errors import EngineError
from ansible_collections.aegis.infra.plugins.module_utils.model.cluster import ClusterConfig
from ansible_collections.aegis.infra.plugins.plugin_utils.platform import load_platform


class ActionModule(ActionBase):
    """Runs on the controller; documented in plugins/modules/cluster_info.py."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        environment, _ = load_platform(task_vars or {}, self._templar)
        try:
            version, server = asyncio.run(_ask(environment.cluster))
        except EngineError as error:
            raise AnsibleActionFail(f"{error}\nNothing was changed.") from error
        return {"changed": False, "kubernetes_version": version, "server": server}


async def _ask(cluster: ClusterConfig) -> tuple[str, str]:
    async with connect(cluster.kubeconfig, cluster.context) as client:
        return await client.check(), client.server
