# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that need more than one section, or more than one key, of the model.

A rule is a function that yields (path, message); it is skipped while a section it needs is wrong itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from .cluster import ClusterConfig, Provider
from .data_services import (
    KAFKA_ALLOWED,
    KAFKA_FORBIDDEN,
    POSTGRESQL_FIXED,
    REDIS_FIXED,
    DataService,
    KafkaConfig,
    PostgresqlConfig,
    RedisConfig,
    SchemaRegistryConfig,
)
from .fields import quantity_value
from .platform import BackupConfig, PlatformConfig
from .schedule import cron_in_utc

Path = tuple[str | int, ...]
Finding = tuple[Path, str]
# CloudNativePG keeps these for itself and for superusers (its default superuser_reserved_connections and replication).
_RESERVED_CONNECTIONS = 10
# memtoull() of Redis.
_REDIS_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}


def cross_check(valid: dict[str, Any], kubernetes_minors: list[str]) -> list[Finding]:
    """Run every rule whose sections are all in `valid`."""
    found: list[Finding] = []
    for needs, rule in RULES:
        if all(section in valid for section in needs):
            found += rule(*(valid[section] for section in needs))
    if "cluster" in valid:
        found += _supported_kubernetes(valid["cluster"], kubernetes_minors)
    return found


def _supported_kubernetes(cluster: ClusterConfig, minors: list[str]) -> Iterator[Finding]:
    minor = ".".join(cluster.kubernetes_version.split(".")[:2])
    if minors and minor not in minors:
        yield (
            ("aegis_cluster", "kubernetes_version"),
            f"is not supported by this release; supported: {', '.join(minors)}",
        )


def _networks_apart(cluster: ClusterConfig) -> Iterator[Finding]:
    names = ("vpc_cidr", "pod_cidr", "service_cidr")
    networks = {name: ipaddress.ip_network(getattr(cluster, name)) for name in names}
    for index, name in enumerate(names):
        for earlier in names[:index]:
            first, second = networks[earlier], networks[name]
            if first.overlaps(second):
                yield ("aegis_cluster", name), f"overlaps {earlier} ({first}); the three networks must be apart"


def _local_only(cluster: ClusterConfig) -> Iterator[Finding]:
    if cluster.simulation and cluster.provider is not Provider.LOCAL:
        yield ("aegis_cluster", "simulation"), "only works with provider `local`; remove it"
    if cluster.provider is Provider.LOCAL and not cluster.node_configs:
        yield (
            ("aegis_cluster", "node_configs"),
            "must name at least one pool: the embedded cluster makes its nodes from them",
        )


def _pools_exist(cluster: ClusterConfig, **services: DataService) -> Iterator[Finding]:
    for name, service in services.items():
        if service.enabled and service.node_pool and service.node_pool not in cluster.node_configs:
            pools = ", ".join(sorted(cluster.node_configs)) or "none"
            yield (f"aegis_{name}", "node_pool"), f"is no pool of aegis_cluster.node_configs; pools: {pools}"


def _namespaces_exist(namespaces: dict[str, Any], **services: DataService) -> Iterator[Finding]:
    for name, service in services.items():
        if service.enabled and service.namespace not in namespaces:
            yield (f"aegis_{name}", "namespace"), f"is not in aegis_namespaces; known: {', '.join(sorted(namespaces))}"


def _zone_spread(cluster: ClusterConfig, postgresql: PostgresqlConfig) -> Iterator[Finding]:
    """PostgreSQL puts one instance into each zone; the other services balance over zones."""
    zones = len(cluster.availability_zones)
    if postgresql.enabled and postgresql.zone_spread == "required" and postgresql.instances > zones:
        yield (
            ("aegis_postgresql", "instances"),
            f"needs {postgresql.instances} zones with zone_spread `required`, but aegis_cluster.availability_zones "
            f"has {zones}; add zones, lower it, or set zone_spread to `preferred`",
        )


def _postgresql(config: PostgresqlConfig) -> Iterator[Finding]:
    yield from _resources("aegis_postgresql", ("resources",), config.resources)
    yield from _resources("aegis_postgresql", ("pooler", "resources"), config.pooler.resources)
    yield from _owned(("aegis_postgresql", "parameters"), config.parameters, POSTGRESQL_FIXED, (), "CloudNativePG")
    maximum = config.parameters.get("max_connections", "100")
    if not maximum.isdigit():
        yield ("aegis_postgresql", "parameters", "max_connections"), "must be a whole number"
    elif config.pooler.instances * config.pooler.default_pool_size > int(maximum) - _RESERVED_CONNECTIONS:
        yield (
            ("aegis_postgresql", "pooler", "default_pool_size"),
            f"times pooler.instances ({config.pooler.instances}) is more than max_connections ({maximum}) "
            f"less {_RESERVED_CONNECTIONS} reserved ones",
        )
    yield from _shared_buffers(config)


def _shared_buffers(config: PostgresqlConfig) -> Iterator[Finding]:
    """CloudNativePG's webhook refuses less requested memory than shared_buffers."""
    text, requested = config.parameters.get("shared_buffers"), config.resources.requests.memory
    if text is None or requested is None:
        return
    path: Path = ("aegis_postgresql", "parameters", "shared_buffers")
    for unit, factor in (("kB", 1024), ("MB", 1024**2), ("GB", 1024**3)):
        if text.endswith(unit) and text[: -len(unit)].isdigit():
            if int(text[: -len(unit)]) * factor > quantity_value(requested):
                yield path, f"must not be larger than resources.requests.memory ({requested})"
            return
    yield path, "must be a whole number with the unit kB, MB or GB, for example 256MB"


def _schedule_in_utc(platform: PlatformConfig, backup: BackupConfig) -> Iterator[Finding]:
    if not backup.enabled:
        return
    try:
        cron_in_utc(backup.schedule, platform.timezone)
    except ValueError as error:
        yield ("aegis_backup", "schedule"), str(error)


def _redis(config: RedisConfig) -> Iterator[Finding]:
    yield from _resources("aegis_redis", ("resources",), config.resources)
    yield from _resources("aegis_redis", ("exporter", "resources"), config.exporter.resources)
    yield from _owned(("aegis_redis", "config"), config.config, REDIS_FIXED, (), "the Redis operator")
    path: Path = ("aegis_redis", "config", "maxmemory")
    amount, limit = re.fullmatch(r"(\d+)([kmg]?b?)", config.config.get("maxmemory", "0").lower()), config.resources.limits.memory
    if not amount:
        yield path, "must be a whole number with the unit kb, mb or gb, for example 384mb"
    elif limit and int(amount[1]) * _REDIS_UNITS[amount[2]] > quantity_value(limit) * 9 / 10:
        yield path, f"must leave at least a tenth of limits.memory ({limit}) free"


def _kafka(config: KafkaConfig) -> Iterator[Finding]:
    yield from _resources("aegis_kafka", ("resources",), config.resources)
    yield from _owned(("aegis_kafka", "config"), config.config, KAFKA_FORBIDDEN, KAFKA_ALLOWED, "Strimzi")
    for index, topic in enumerate(config.topics):
        if topic.replicas > config.replicas:
            yield ("aegis_kafka", "topics", index, "replicas"), f"must not be more than the brokers ({config.replicas})"
    for key in (
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
    ):
        if _number(config.config.get(key)) > config.replicas:
            yield ("aegis_kafka", "config", key), f"must not be more than the brokers ({config.replicas})"
    pairs = (
        ("min.insync.replicas", "default.replication.factor"),
        ("transaction.state.log.min.isr", "transaction.state.log.replication.factor"),
    )
    for minimum, factor in pairs:
        at_least = _number(config.config.get(minimum))
        if factor in config.config and at_least > 1 and at_least >= _number(config.config[factor]):
            yield (
                ("aegis_kafka", "config", minimum),
                f"must be less than {factor} ({config.config[factor]}), or one lost broker stops all writes",
            )


def _schema_registry(config: SchemaRegistryConfig, kafka: KafkaConfig) -> Iterator[Finding]:
    yield from _resources("aegis_schema_registry", ("resources",), config.resources)
    if not config.enabled:
        return
    if not kafka.enabled:
        yield ("aegis_schema_registry", "enabled"), "needs Kafka; enable aegis_kafka or disable it"
    elif config.topic_replication_factor > kafka.replicas:
        yield (
            ("aegis_schema_registry", "topic_replication_factor"),
            f"must not be more than the brokers ({kafka.replicas})",
        )


def _resources(variable: str, keys: Path, resources: Any) -> Iterator[Finding]:
    for key, message in resources.problems():
        yield (variable, *keys, *key.split(".")), message


def _owned(
    path: Path, settings: Iterable[str], owned: tuple[str, ...], allowed: tuple[str, ...], owner: str
) -> Iterator[Finding]:
    """Settings that `owner` writes itself: those that match a pattern of `owned`."""
    for key in settings:
        if key not in allowed and any(fnmatchcase(key, pattern) for pattern in owned):
            yield (*path, key), f"is set by {owner} itself; remove it"


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) or str(value).isdigit() else 0


def _services(rule: Callable[..., Iterator[Finding]]) -> Callable[..., Iterator[Finding]]:
    """Let a rule that looks at every data service take them in the order of _SERVICES."""
    return lambda first, *rest: rule(first, **dict(zip(_SERVICES, rest, strict=True)))


_SERVICES = ("postgresql", "redis", "kafka", "schema_registry")
RULES: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Finding]]], ...] = (
    (("cluster",), _networks_apart),
    (("cluster",), _local_only),
    (("cluster", *_SERVICES), _services(_pools_exist)),
    (("namespaces", *_SERVICES), _services(_namespaces_exist)),
    (("cluster", "postgresql"), _zone_spread),
    (("platform", "backup"), _schedule_in_utc),
    (("postgresql",), _postgresql),
    (("redis",), _redis),
    (("kafka",), _kafka),
    (("schema_registry", "kafka"), _schema_registry),
)
