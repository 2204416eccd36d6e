# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of an inventory as one validated value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .cluster import ClusterConfig
from .data_services import KafkaConfig, PostgresqlConfig, RedisConfig, SchemaRegistryConfig
from .fields import DnsLabel, Section
from .platform import BackupConfig, NamespaceConfig, OperatorsConfig, PlatformConfig
from .problems import Problem, did_you_mean, from_validation_error, problem_at
from .rules import cross_check

PREFIX = "aegis_"
# Variables of the project that are not sections of the model.
OTHER_VARIABLES = frozenset({"aegis_release", "aegis_state_dir", "aegis_namespaces"})


@dataclass(frozen=True)
class Environment:
    """Every section of the model, validated alone and against the others."""

    platform: PlatformConfig
    cluster: ClusterConfig
    operators: OperatorsConfig
    backup: BackupConfig
    postgresql: PostgresqlConfig
    redis: RedisConfig
    kafka: KafkaConfig
    schema_registry: SchemaRegistryConfig
    namespaces: dict[str, NamespaceConfig]

    def sections(self) -> dict[str, Any]:
        """Plain data by section name, as templates see it."""
        plain = {
            field.name: getattr(self, field.name).model_dump(mode="json") for field in fields(self) if field.name != "namespaces"
        }
        plain["namespaces"] = {name: ns.model_dump(mode="json") for name, ns in self.namespaces.items()}
        return plain


SECTIONS: dict[str, type[Section]] = {
    "platform": PlatformConfig,
    "cluster": ClusterConfig,
    "operators": OperatorsConfig,
    "backup": BackupConfig,
    "postgresql": PostgresqlConfig,
    "redis": RedisConfig,
    "kafka": KafkaConfig,
    "schema_registry": SchemaRegistryConfig,
}
_NAMESPACES = TypeAdapter(dict[DnsLabel, NamespaceConfig])


class InvalidEnvironment(Exception):
    """The inventory is wrong. `problems` holds everything found, in the order of the variables."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        listed = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(problems, start=1))
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"The inventory has {count}; nothing was changed.\n{listed}")


def load_environment(variables: dict[str, Any], kubernetes_minors: list[str]) -> Environment:
    """Validate an inventory's `aegis_*` variables.

    variables: templated values by full variable name. kubernetes_minors: what the release supports.
    Raises InvalidEnvironment with every problem of every section.
    """
    problems: list[Problem] = []
    valid: dict[str, Any] = {}
    for name, model in SECTIONS.items():
        variable = PREFIX + name
        if variable not in variables:
            problems.append(_undefined(variable))
            continue
        try:
            valid[name] = model.model_validate(variables[variable])
        except ValidationError as error:
            problems += from_validation_error(variables, variable, model, error)
    problems += _load_namespaces(variables, valid)
    problems += _unknown_variables(variables)
    for path, message in cross_check(valid, kubernetes_minors):
        problems.append(problem_at(variables, path, message))
    if problems:
        raise InvalidEnvironment(sorted(problems, key=_place))
    return Environment(**valid)


def _undefined(variable: str) -> Problem:
    return Problem((variable,), "is not defined; the base of it is in group_vars/all")


def _place(problem: Problem) -> int:
    """Sections in the model's order, then namespaces, then what is no variable at all."""
    name = str(problem.path[0]).removeprefix(PREFIX)
    order = [*SECTIONS, "namespaces"]
    return order.index(name) if name in order else len(order)


def _load_namespaces(variables: dict[str, Any], valid: dict[str, Any]) -> list[Problem]:
    variable = PREFIX + "namespaces"
    if variable not in variables:
        return [_undefined(variable)]
    try:
        valid["namespaces"] = _NAMESPACES.validate_python(variables[variable])
    except ValidationError as error:
        return from_validation_error(variables, variable, NamespaceConfig, error)
    return []


def _unknown_variables(variables: dict[str, Any]) -> list[Problem]:
    """A misspelt variable would otherwise be ignored without a word."""
    known = sorted({PREFIX + name for name in SECTIONS} | OTHER_VARIABLES)
    return [
        problem_at(variables, (name,), f"is no variable of this project; {did_you_mean(name, known)}", show=False)
        for name in variables
        if name.startswith(PREFIX) and name not in known
    ]
