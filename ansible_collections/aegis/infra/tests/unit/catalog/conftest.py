# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: a server, components made of a few bytes, a process that remembers nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.catalog import sources
from ansible_collections.aegis.infra.plugins.module_utils.catalog.release import Component
from ansible_collections.aegis.infra.tests.unit.catalog.upstream import Server, sha256


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No mirror from outside, and nothing remembered of another test."""
    for name in ("AEGIS_ARTIFACT_MIRROR", "AEGIS_ARTIFACT_CACHE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sources.forget()
    yield
    sources.forget()


@pytest.fixture
def component() -> Callable[..., Component]:
    """component(content, sources, crds) → a component "demo" 1.2.3 with the artifact demo.yaml."""

    def make(content: bytes, source_list: list[dict[str, Any]], crds: list[dict[str, Any]] | None = None) -> Component:
        artifact = {
            "name": "demo.yaml",
            "sha256": sha256(content),
            "size": len(content),
            "sources": source_list,
            "crds": crds or [],
        }
        return Component.model_validate({"name": "demo", "version": "1.2.3", "kubernetes": "any", "artifacts": [artifact]})

    return make
