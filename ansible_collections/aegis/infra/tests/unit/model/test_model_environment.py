# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model accepts, what it refuses, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.model.environment import (
    Environment,
    InvalidEnvironment,
    load_environment,
)
from ansible_collections.aegis.infra.plugins.module_utils.model.problems import Problem
from ansible_collections.aegis.infra.tests.wrong_inventories import FRONT_DOOR, MORE, Wrong

MINORS = ["1.34", "1.35", "1.36"]
ROWS = [*FRONT_DOOR, *MORE]
WithFiles = Callable[..., dict[str, Any]]


def problems(variables: dict[str, Any]) -> list[Problem]:
    with pytest.raises(InvalidEnvironment) as caught:
        load_environment(variables, MINORS)
    return caught.value.problems


def without(variables: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """A copy of `variables` less what is at `path`."""
    copy: Any = json.loads(json.dumps(variables))
    parent = copy
    for part in path[:-1]:
        parent = parent[part]
    del parent[path[-1]]
    return copy


def test_the_inventory_of_the_project_is_right(base: dict[str, Any]) -> None:
    environment = load_environment(base, MINORS)
    assert isinstance(environment, Environment)
    assert environment.kafka.topics[0].name == "user.events"
    assert environment.postgresql.resources.requests.memory == "512Mi", "inventories/local is merged into the base"


def test_ids_of_the_table_are_different() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_one_wrong_value_is_one_problem(row: Wrong, with_files: WithFiles, tmp_path: Path) -> None:
    (problem,) = problems(with_files(row.given, row.overlay))
    assert problem.variable == row.named
    assert row.allowed in problem.message
    if row.at.count("/") or row.place != "merged":  # a whole variable that is null is nowhere
        row.check_origin(problem.origin, tmp_path / "1.yml")


@pytest.mark.parametrize(
    "path",
    [
        ("aegis_cluster", "provider"),
        ("aegis_cluster", "node_configs", "data", "cpu"),
        ("aegis_platform", "team"),
        ("aegis_operators", "install"),
        ("aegis_backup", "storage_location"),
        ("aegis_postgresql", "pooler"),
        ("aegis_postgresql", "storage", "size"),
        ("aegis_redis", "credentials_secret"),
        ("aegis_kafka", "namespace"),
        ("aegis_kafka", "topics", 1, "partitions"),
        ("aegis_schema_registry", "heap"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_a_missing_key_is_one_problem(path: tuple[str | int, ...], base: dict[str, Any]) -> None:
    (problem,) = problems(without(base, *path))
    assert problem.path == path
    assert problem.message == "is missing and has no default; add it"


@pytest.mark.parametrize(
    "variable",
    ["cluster", "platform", "operators", "backup", "postgresql", "redis", "kafka", "schema_registry", "namespaces"],
)
def test_a_missing_variable_is_one_problem(variable: str, base: dict[str, Any]) -> None:
    (problem,) = problems(without(base, f"aegis_{variable}"))
    assert problem.variable == f"aegis_{variable}"
    assert "is not defined; the base of it is in group_vars/all" in problem.message


def test_everything_wrong_is_told_at_once_in_the_order_of_the_variables(with_files: WithFiles) -> None:
    variables = with_files(
        "aegis_kafak: {}\n"
        "aegis_kafka: {replicas: 4, topics: [{name: A, partitions: 0, replicas: 1}]}\n"
        "aegis_namespaces: {aegis-data: {pod_security: none}}\n"
        "aegis_redis: {config: {maxmemory: 2gb}, leaders: 3}\n"
        "aegis_postgresql: {instances: 5, node_pool: none}\n"
        "aegis_backup: {retention_days: -1}\n"
        "aegis_cluster: {vpc_cidr: 10.0.0.0/8}\n"
        "aegis_platform: {environment: prod}\n"
    )
    assert [problem.variable for problem in problems(variables)] == [
        "aegis_platform.environment",
        "aegis_cluster.pod_cidr",
        "aegis_cluster.service_cidr",
        "aegis_backup.retention_days",
        "aegis_postgresql.instances",
        "aegis_redis.config.maxmemory",
        "aegis_kafka.replicas",
        "aegis_kafka.topics[0].name",
        "aegis_kafka.topics[0].partitions",
        "aegis_namespaces.aegis-data.pod_security",
        "aegis_kafak",
    ]


def test_every_service_on_a_removed_pool_is_named(with_files: WithFiles) -> None:
    found = problems(with_files("aegis_cluster: {node_configs: {data: null}}"))
    assert [problem.variable for problem in found] == [f"aegis_{name}.node_pool" for name in ("postgresql", "redis", "kafka")]
    assert all("pools: application, control-plane, platform" in problem.message for problem in found)


def test_one_broker_names_everything_that_wants_three(with_files: WithFiles) -> None:
    found = [problem.variable for problem in problems(with_files("aegis_kafka: {replicas: 1}"))]
    assert found == [
        "aegis_kafka.topics[0].replicas",
        "aegis_kafka.topics[1].replicas",
        "aegis_kafka.config.default.replication.factor",
        "aegis_kafka.config.offsets.topic.replication.factor",
        "aegis_kafka.config.transaction.state.log.replication.factor",
        "aegis_schema_registry.topic_replication_factor",
    ]


def test_the_text_of_the_error(with_files: WithFiles, tmp_path: Path) -> None:
    with pytest.raises(InvalidEnvironment) as one:
        load_environment(with_files("aegis_kafka:\n  replicas: 4\n"), MINORS)
    assert str(one.value) == (
        "The inventory has 1 problem; nothing was changed.\n"
        "  1. aegis_kafka.replicas is 4: must be odd: brokers are KRaft controllers, and an even number adds no fault tolerance\n"
        f"      at {tmp_path}/0.yml:2"
    )
    with pytest.raises(InvalidEnvironment) as two:
        load_environment(with_files("aegis_kafka:\n  replicas: 4\n  external_access: null\n"), MINORS)
    first, *_, last = str(two.value).splitlines()
    assert first == "The inventory has 2 problems; nothing was changed."
    assert last.endswith("group_vars/all/data_services.yml:78 or in a file merged into it")


@pytest.mark.parametrize(
    "overlay",
    [
        "aegis_backup: {password: hunter2}",
        "aegis_backup: {passwd: hunter2}",
        "aegis_backup: {anything: hunter2}",
        "aegis_backup: {secret_access_key: [hunter2]}",
        "aegis_token: hunter2",
        "aegis_anything: hunter2",
        "aegis_anything: {below: hunter2}",
        "aegis_kafka: {config: {ssl.truststore.password: hunter2}}",
        "aegis_kafka: {config: {sasl.jaas.config: 'login required secret=hunter2;'}}",
        "aegis_redis: {config: {requirepass: hunter2}}",
        "aegis_redis: {config: {masterauth: hunter2}}",
        "aegis_postgresql: {parameters: {ssl_passphrase_command: echo hunter2}}",
        "aegis_postgresql: {parameters: {archive_command: 'curl https://me:hunter2@example.com'}}",
        "aegis_backup: {storage_location: 's3://me:hunter2@bucket'}",
        "aegis_platform: {team: {password: hunter2}}",
    ],
)
def test_no_secret_is_ever_shown(overlay: str, with_files: WithFiles) -> None:
    (problem,) = problems(with_files(overlay))
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("'a b'", "'a b'"),
        ("[a]", ""),
        ("{a: b}", ""),
        ("null", "null"),
        ("false", "false"),
        ("1.5", "1.5"),
        ("x" * 90, "'" + "x" * 76 + "..."),
    ],
    ids=["text", "list", "dictionary", "null", "bool", "number", "long"],
)
def test_wrong_values_are_shown_as_they_were_written(value: str, shown: str, with_files: WithFiles) -> None:
    (problem,) = problems(with_files(f"aegis_kafka: {{zone_spread: {value}}}"))
    assert problem.value == shown


VALID = {
    "three instances in three zones": "aegis_postgresql: {instances: 3, zone_spread: required}",
    "more instances than zones, preferred": "aegis_postgresql: {instances: 5, zone_spread: preferred}",
    "IPv6 networks": "aegis_cluster: {vpc_cidr: 'fd00::/48', pod_cidr: 'fd01::/48', service_cidr: 'fd02::/112'}",
    "IPv4 and IPv6": "aegis_cluster: {pod_cidr: 'fd01::/48'}",
    "networks side by side": "aegis_cluster: {vpc_cidr: 10.0.0.0/17, pod_cidr: 10.0.128.0/17}",
    "null removes a pool": "aegis_cluster: {node_configs: {platform: null}}",
    "numbers as text": "aegis_kafka: {replicas: '5'}\naegis_redis: {leaders: '6', enabled: 'yes'}",
    "a disabled service on no pool": "aegis_redis: {enabled: false, node_pool: nowhere, namespace: nowhere}",
    "disabled PostgreSQL in two zones": "aegis_postgresql: {enabled: false}\naegis_cluster: {availability_zones: [a, b]}",
    "Kafka and its registry disabled": "aegis_kafka: {enabled: false}\naegis_schema_registry: {enabled: false}",
    "no backup, zone with daylight saving": "aegis_backup: {enabled: false}\naegis_platform: {timezone: Europe/Berlin}",
    "every hour in another time zone": "aegis_backup: {schedule: '15 * * * 1'}",
    "one node": "aegis_cluster: {node_configs: {platform: {min_size: 1, max_size: 1}}}",
    "a request equal to the limit": "aegis_kafka: {resources: {requests: {memory: 1024Mi}, limits: {memory: 1Gi}}}",
    "no limits": "aegis_kafka: {resources: {limits: {cpu: null, memory: null}}}",
    "connections to the last one": "aegis_postgresql: {parameters: {max_connections: 85}}",
    "shared_buffers equal to the memory": "aegis_postgresql: {parameters: {shared_buffers: 512MB}}",
    "maxmemory that leaves a tenth": "aegis_redis: {config: {maxmemory: 460mb}}",
    "settings that Strimzi leaves to us": "aegis_kafka: {config: {ssl.cipher.suites: TLS_AES_256_GCM_SHA384}}",
    "one broker and nothing that wants more": (
        "aegis_kafka:\n  replicas: 1\n  topics: []\n"
        "  config: {default.replication.factor: 1, min.insync.replicas: 1, offsets.topic.replication.factor: 1,\n"
        "    transaction.state.log.replication.factor: 1, transaction.state.log.min.isr: 1}\n"
        "aegis_schema_registry: {topic_replication_factor: 1}\n"
    ),
    "a simulation": "aegis_cluster: {simulation: {delay: 500ms, operators: {strimzi: {fail: no quota}}}}",
    "an existing cluster without pools": (
        "aegis_cluster:\n  provider: existing\n"
        "  node_configs: {control-plane: null, application: null, data: null, platform: null}\n"
        "aegis_postgresql: {node_pool: ''}\naegis_redis: {node_pool: ''}\naegis_kafka: {node_pool: ''}\n"
    ),
    "numbers for quantities": "aegis_kafka: {resources: {requests: {cpu: 0.5}, limits: {cpu: 1}}}",
    "a store that is not AWS": "aegis_backup: {endpoint_url: 'http://minio:9000', storage_location: s3://aegis/local}",
    "another variable": "kafka_aegis: 1",
}


@pytest.mark.parametrize("overlay", VALID.values(), ids=VALID.keys())
def test_right_inventories_are_accepted(overlay: str, with_files: WithFiles) -> None:
    load_environment(with_files(overlay), MINORS)


def test_values_have_the_types_of_the_model(with_files: WithFiles) -> None:
    environment = load_environment(
        with_files(VALID["numbers as text"], VALID["null removes a pool"], VALID["numbers for quantities"]), MINORS
    )
    assert environment.kafka.replicas == 5
    assert environment.redis.enabled is True
    assert environment.kafka.resources.requests.cpu == "0.5"
    assert environment.postgresql.parameters["max_connections"] == "200", "PostgreSQL's settings are text"
    assert environment.kafka.config["min.insync.replicas"] == 2, "Kafka's are what they are"
    assert sorted(environment.cluster.node_configs) == ["application", "control-plane", "data"]
    assert json.loads(json.dumps(environment.sections()))["cluster"]["provider"] == "local", "templates see plain data"


def test_the_release_decides_which_kubernetes_is_supported(with_files: WithFiles) -> None:
    variables = with_files("aegis_cluster: {kubernetes_version: 1.40.0}")
    load_environment(variables, ["1.40"])
    (problem,) = problems(variables)
    assert problem.variable == "aegis_cluster.kubernetes_version"


def test_sections_cannot_change_after_validation(base: dict[str, Any]) -> None:
    environment = load_environment(base, MINORS)
    with pytest.raises(Exception, match="frozen"):
        environment.kafka.replicas = 5  # type: ignore[misc]
