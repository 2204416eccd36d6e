# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of every kind share: the project, embedded clusters, and playbook runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[4]
BINARIES = PROJECT / ".aegis" / "bin"


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root folder."""
    return PROJECT


class Devcluster:
    """An embedded cluster of a test. `folder` holds its state and configuration."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.state = folder / "local"
        self.kubeconfig = self.state / "kubeconfig"
        self.config = config

    def up(self) -> dict[str, Any]:
        path = self.folder / "devcluster.yml"
        path.write_text(yaml.safe_dump(self.config), encoding="utf-8")
        return json.loads(self.run("up", "--config", str(path)))

    def run(self, verb: str, *arguments: str) -> str:
        """A devcluster command on this cluster; returns its standard output."""
        command = [str(BINARIES / "devcluster"), verb, "--state", str(self.state), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """kubectl as the cluster's administrator."""
        command = [str(BINARIES / "devcluster"), "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=stdin, timeout=300)
        assert done.returncode == 0 or not check, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        scope = ["--namespace", namespace] if namespace else []
        return json.loads(self.kubectl("get", kind, name, *scope, "-o", "json"))


@pytest.fixture(scope="session")
def devcluster_binary() -> Path:
    """The devcluster program, built from this tree."""
    subprocess.run([str(PROJECT / "tools" / "devcluster" / "build.sh"), str(BINARIES)], check=True)
    return BINARIES / "devcluster"


def plain_cluster(name: str) -> dict[str, Any]:
    """A small cluster without anything on it."""
    return {
        "name": name,
        "kubernetes_version": "1.36.3",
        "service_cidr": "10.96.0.0/16",
        "pod_cidr": "10.244.0.0/16",
        "region": "local",
        "zones": ["local-a", "local-b"],
        "node_pools": [
            {"name": "application", "count": 2, "cpu": "4", "memory": "8Gi", "storage": "50Gi", "instance_type": "test"},
        ],
        "storage_classes": [{"name": "fast-ssd", "default": True, "reclaim_policy": "Delete"}],
        "simulation": {"rules": str(PROJECT / "tools" / "devcluster" / "rules")},
    }


@pytest.fixture(scope="session")
def plain(devcluster_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devcluster]:
    """One empty cluster for all tests of the engine."""
    cluster = Devcluster(tmp_path_factory.mktemp("plain"), plain_cluster("plain"))
    cluster.up()
    yield cluster
    cluster.run("down")


@dataclass
class PlaybookRun:
    """A finished ansible-playbook."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, int]:
        """ok, changed, failed, ... of the last host in the recap."""
        lines = [line for line in self.output.splitlines() if re.match(r"^\S+\s+: ok=", line)]
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", lines[-1])} if lines else {}

    @property
    def touched(self) -> set[str]:
        """Objects that the run said it created or changed, or in check mode would."""
        pattern = r"^  (?:would be )?(?:created|changed):? ([A-Z]\w+ \S+?)(?:,|\s\(|$)"
        return set(re.findall(pattern, self.output, re.MULTILINE))

    def ok(self) -> PlaybookRun:
        assert self.code == 0, self.output[-6000:]
        return self


def run_playbook(
    playbook: str,
    *arguments: str,
    state: Path,
    inventory: Path | str = PROJECT / "inventories" / "local",
    environment: dict[str, str] | None = None,
) -> PlaybookRun:
    """ansible-playbook as a user runs it, with a state folder of the test's own."""
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        str(PROJECT / "playbooks" / playbook),
        f"--inventory={inventory}",
        f"--extra-vars=aegis_state_dir={state}",
        *arguments,
    ]
    variables = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", **(environment or {})}
    # The binary is shared: building it once is enough for every state folder.
    (state / "bin").parent.mkdir(parents=True, exist_ok=True)
    if BINARIES.is_dir() and not (state / "bin").exists():
        (state / "bin").symlink_to(BINARIES)
    done = subprocess.run(
        command, check=False, cwd=PROJECT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    return PlaybookRun(done.returncode, done.stdout)
