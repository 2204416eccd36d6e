# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole platform on an embedded cluster, and inventories made for a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import PROJECT, Devcluster, PlaybookRun, run_playbook

# Nothing but loopback answers: what a machine without a network sees.
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9") | {
    "no_proxy": "127.0.0.1,localhost",
    "NO_PROXY": "127.0.0.1,localhost",
    "GOPROXY": "off",
    "GOFLAGS": "-mod=mod",
}


@dataclass
class Platform:
    """A platform that `playbooks/site.yml` built. `outputs` collects all that its runs printed."""

    state: Path
    first: PlaybookRun | None = None
    outputs: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Devcluster:
        return Devcluster(self.state, {})

    def play(self, playbook: str, *arguments: str, **options: Any) -> PlaybookRun:
        run = run_playbook(playbook, *arguments, state=self.state, **options)
        self.outputs.append(run.output)
        return run


@pytest.fixture(scope="session")
def platform(devcluster_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all tests that leave it as they found it."""
    platform = Platform(tmp_path_factory.mktemp("platform"))
    platform.first = platform.play("site.yml")
    yield platform
    platform.play("teardown.yml").ok()
    assert not (platform.state / "local").exists()


MakeInventory = Callable[..., Path]


@pytest.fixture
def inventory(tmp_path: Path) -> MakeInventory:
    """Makes a copy of inventories/local with `overrides` in a file of their own; returns its folder."""

    def make(overrides: dict[str, Any]) -> Path:
        target = tmp_path / "inventory"
        shutil.copytree(PROJECT / "inventories" / "local", target)
        (target / "group_vars" / "aegis" / "zz_test.yml").write_text(yaml.safe_dump(overrides), encoding="utf-8")
        return target

    return make


def without_network(cache: Path, mirror: Path | None = None) -> dict[str, str]:
    """Environment of a run that has only `mirror` and an empty cache."""
    environment = {**NO_NETWORK, "AEGIS_ARTIFACT_CACHE": str(cache)}
    return environment | {"AEGIS_ARTIFACT_MIRROR": str(mirror) if mirror else ""} | {"HOME": os.environ["HOME"]}
