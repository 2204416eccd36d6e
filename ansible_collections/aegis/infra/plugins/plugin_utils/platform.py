# SPDX-License-Identifier: GPL-3.0-or-later
"""Between Ansible and the packages in module_utils: variables in, environment and objects out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.template import trust_as_template

from ansible_collections.aegis.infra.plugins.module_utils.catalog import (
    Release,
    ReleaseError,
    load_release,
    parse_manifests,
)
from ansible_collections.aegis.infra.plugins.module_utils.model.environment import (
    PREFIX,
    Environment,
    InvalidEnvironment,
    load_environment,
)
from ansible_collections.aegis.infra.plugins.module_utils.model.problems import Problem, problem_at

COLLECTION = Path(__file__).resolve().parents[2]
RELEASES = COLLECTION / "releases"


def load_platform(task_vars: dict[str, Any], templar: Any) -> tuple[Environment, Release]:
    """The validated environment and the release it asks for. Raises AnsibleActionFail with all that is wrong."""
    if constants.DEFAULT_HASH_BEHAVIOUR != "merge":
        raise AnsibleActionFail(
            "this project merges dictionaries of the base and the inventory: set hash_behaviour = merge in the [defaults] "
            "of ansible.cfg (the project's own ansible.cfg has it; are you in the project's folder?)"
        )
    variables = {name: templar.template(value) for name, value in task_vars.items() if name.startswith(PREFIX)}
    problems: list[Problem] = []
    minors: list[str] = []
    try:
        release = load_release(str(variables.get("aegis_release", "")), RELEASES)
        minors = list(release.kubernetes.supported)
    except ReleaseError as error:
        problems.append(problem_at(variables, ("aegis_release",), str(error)))
    try:
        load_environment(variables, minors)  # with Ansible's tagged values, so that problems name file and line
    except InvalidEnvironment as error:
        problems += error.problems
    if problems:
        raise AnsibleActionFail(str(InvalidEnvironment(problems)))
    return load_environment(plain(variables), minors), release


def plain(value: Any) -> Any:
    """Builtin types in place of Ansible's tagged ones, which serializers refuse."""
    return json.loads(json.dumps(value))


def selected_components(layer: str, names: Iterable[str], task_vars: dict[str, Any]) -> set[str]:
    """Components that --tags and --skip-tags leave. A layer's own tag, or no tag at all, means all of them."""
    run = set(task_vars.get("ansible_run_tags") or ("all",))
    skip = set(task_vars.get("ansible_skip_tags") or ())
    chosen = set(names) if run & {"all", "always", "tagged", layer} else set(names) & run
    return chosen - skip


def standard_labels(component: str, environment: Environment) -> dict[str, str]:
    """Labels of every object of a component (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/)."""
    return {
        "app": component,
        "team": environment.platform.team,
        "environment": environment.platform.environment,
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": environment.platform.name,
        "app.kubernetes.io/managed-by": "aegis.infra",
    }


def render_folder(folder: Path, templar: Any, variables: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of every template of a component's folder, in the order of the file names."""
    objects: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.yml.j2")):
        if path.name != "values.yml.j2":
            objects += parse_manifests(render_file(path, templar, variables), str(path))
    return objects


def render_file(path: Path, templar: Any, variables: dict[str, Any]) -> str:
    """One rendered template, as text."""
    scoped = templar.copy_with_new_env(available_variables=variables, searchpath=[str(path.parent)])
    try:
        return str(scoped.template(trust_as_template(path.read_text(encoding="utf-8"))))
    except Exception as error:
        raise AnsibleActionFail(f"template {path}: {error}") from error


def with_labels(obj: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """`obj` with standard labels; labels it already has are its own."""
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "labels": {**labels, **(meta.get("labels") or {})}}}
