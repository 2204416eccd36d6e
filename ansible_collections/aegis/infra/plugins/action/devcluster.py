# SPDX-License-Identifier: GPL-3.0-or-later
"""Action side of aegis.infra.devcluster: build and run the embedded control plane."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.aegis.infra.plugins.module_utils.model.environment import Environment
from ansible_collections.aegis.infra.plugins.plugin_utils.platform import COLLECTION, load_platform

TOOL = COLLECTION.parents[2] / "tools" / "devcluster"


class ActionModule(ActionBase):
    """Runs on the controller; documented in plugins/modules/devcluster.py."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(
            argument_spec={"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
        )
        environment, _ = load_platform(variables, self._templar)
        binaries = Path(self._templar.template(variables["aegis_state_dir"])) / "bin"
        state = Path(environment.cluster.kubeconfig).expanduser().parent
        if arguments["state"] == "absent":
            return self._absent(binaries / "devcluster", state)
        if self._task.check_mode and not (state / "kubeconfig").exists():
            return {
                "changed": True,
                "actions": ["build and start the embedded cluster"],
                "kubeconfig": environment.cluster.kubeconfig,
            }
        return self._present(binaries, state, environment)

    def _present(self, binaries: Path, state: Path, environment: Environment) -> dict[str, Any]:
        if not TOOL.is_dir():
            raise AnsibleActionFail(
                f"provider `local` needs the project's own folder {TOOL}, which an installed collection does not have"
            )
        self._stream([str(TOOL / "build.sh"), str(binaries)])
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
            yaml.safe_dump(devcluster_config(environment), config)
            config.flush()
            command = [str(binaries / "devcluster"), "up", "--state", str(state), "--config", config.name]
            return json.loads(self._stream([*command, *(["--dry-run"] if self._task.check_mode else [])]))

    def _absent(self, binary: Path, state: Path) -> dict[str, Any]:
        if not state.exists():
            return {"changed": False}
        if self._task.check_mode:
            return {"changed": True}
        return json.loads(self._stream([str(binary), "down", "--state", str(state)]))

    def _stream(self, command: list[str]) -> str:
        """Run a command, showing what it says while it works; returns its standard output."""
        # A Go that `make setup` installed lies beside the Python that runs this.
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
            last: list[str] = []
            teller = threading.Thread(target=self._tell, args=(process.stderr, last))
            teller.start()
            output = process.stdout.read() if process.stdout else ""
            teller.join()
        if process.returncode != 0:
            raise AnsibleActionFail("\n".join([f"{Path(command[0]).name} failed:", *last[-20:]]))
        return output

    def _tell(self, stream: IO[str], last: list[str]) -> None:
        for line in stream:
            last.append(line.rstrip())
            self._display.display(f"  {line.rstrip()}")


def devcluster_config(environment: Environment) -> dict[str, Any]:
    """The embedded cluster's configuration: every pool at its smallest size."""
    cluster = environment.cluster
    classes = {service.storage.storage_class for service in (environment.postgresql, environment.redis, environment.kafka)}
    config: dict[str, Any] = {
        "name": cluster.cluster_name,
        "kubernetes_version": cluster.kubernetes_version,
        "service_cidr": cluster.service_cidr,
        "pod_cidr": cluster.pod_cidr,
        "region": cluster.region,
        "zones": list(cluster.availability_zones),
        "node_pools": [
            {
                "name": name,
                "count": pool.min_size,
                "cpu": pool.cpu,
                "memory": pool.memory,
                "storage": pool.disk_size,
                "instance_type": pool.instance_type,
                "labels": dict(pool.labels),
                "taints": [taint.model_dump() for taint in pool.taints],
            }
            for name, pool in sorted(cluster.node_configs.items())
        ],
        "storage_classes": [{"name": name, "default": True, "reclaim_policy": "Retain"} for name in sorted(classes)],
        "simulation": {"rules": str(TOOL / "rules")},
    }
    if cluster.simulation:
        config["simulation"] |= cluster.simulation.model_dump(exclude_none=True)
    return config
