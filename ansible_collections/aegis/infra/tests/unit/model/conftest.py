# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories as Ansible reads and merges them: every value knows its file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import merge_hash


@pytest.fixture(scope="session")
def base(project: Path) -> dict[str, Any]:
    """The variables of inventories/local, which are right."""
    variables: dict[str, Any] = {}
    for folder in ("group_vars/all", "inventories/local/group_vars/aegis"):
        for path in sorted((project / folder).glob("*.yml")):
            variables = merge_hash(variables, DataLoader().load_from_file(str(path)))
    return variables


@pytest.fixture
def with_files(base: dict[str, Any], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """with_files(*texts) → the base with these texts merged into it, as files 0.yml, 1.yml, ... of tmp_path."""

    def merge(*texts: str) -> dict[str, Any]:
        variables = base
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.yml"
            path.write_text(text, encoding="utf-8")
            variables = merge_hash(variables, DataLoader().load_from_file(str(path)) or {})
        return variables

    return merge
