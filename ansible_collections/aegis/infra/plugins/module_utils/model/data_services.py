# SPDX-License-Identifier: GPL-3.0-or-later
"""The data services (`aegis_postgresql`, `aegis_redis`, `aegis_kafka`, `aegis_schema_registry`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from .fields import DnsLabel, DnsName, Resources, Scalar, Seconds, Section, SettingValue, Size, Storage, matching, number_as_text

ZoneSpread = Literal["required", "preferred"]
SqlName = Annotated[
    str, matching(r"[a-z_][a-z0-9_]{0,62}", "must be lower-case letters, digits and '_', no digit first, at most 63 characters")
]
Heap = Annotated[
    str, BeforeValidator(number_as_text), matching(r"\d+[MG]", "must be a whole number with the unit M or G, for example 512M")
]
TopicName = Annotated[
    str,
    matching(
        r"[a-z0-9]([-a-z0-9.]{0,247}[a-z0-9])?",
        "must be lower-case letters, digits, '-' and '.', at most 249 characters (a KafkaTopic's name)",
    ),
]

# Settings that an operator owns, as patterns: writing them would be refused by its webhook or dropped
# without a word.
# PostgreSQL: pkg/postgres/configuration.go of CloudNativePG 1.30 (FixedConfigurationParameters).
POSTGRESQL_FIXED = (
    "ssl", "ssl_*", "archive_mode", "archive_command", "port", "listen_addresses", "log_directory", "logging_collector",
    "shared_preload_libraries", "hot_standby", "unix_socket_*", "recovery_*", "synchronous_standby_names", "cluster_name",
)  # fmt: skip
# Kafka: KafkaClusterSpec.java of Strimzi 1.2 (FORBIDDEN_PREFIXES and its exceptions).
KAFKA_FORBIDDEN = (
    "listeners*", "advertised.*", "broker.*", "listener.*", "host.name*", "port*", "inter.broker.listener.name*", "sasl.*",
    "ssl.*", "security.*", "password.*", "log.dir*", "zookeeper.*", "authorizer.*", "super.user*", "node.id*",
    "process.roles*", "controller.*", "metadata.log.dir*", "cruise.control.metrics.*", "prometheus.metrics.reporter.*",
    "cordoned.log.dirs*",
)  # fmt: skip
KAFKA_ALLOWED = (
    "ssl.cipher.suites", "ssl.protocol", "ssl.enabled.protocols", "ssl.secure.random.implementation",
    "sasl.server.max.receive.size", "controller.quorum.election.backoff.max.ms",
    "controller.quorum.election.timeout.ms", "controller.quorum.fetch.timeout.ms", "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms", "controller.socket.timeout.ms",
)  # fmt: skip
# Redis: what the operator writes itself.
REDIS_FIXED = ("cluster-*", "port", "bind", "requirepass", "masterauth", "dir", "tls-*", "aclfile")


class DataService(Section):
    """What every data service has."""

    enabled: bool = True
    namespace: DnsLabel
    # Pool whose nodes carry the service; empty: any node without a taint.
    node_pool: str = ""
    # How long to wait for it to become ready.
    wait_timeout: Seconds = 900


class PoolerConfig(Section):
    """PgBouncer in front of the primary."""

    instances: int = Field(ge=1, le=20)
    pool_mode: Literal["session", "transaction"]
    max_client_conn: int = Field(ge=1, le=100000)
    default_pool_size: int = Field(ge=1, le=10000)
    resources: Resources


class PostgresqlBackup(Section):
    """How the write-ahead log is archived."""

    wal_compression: Literal["gzip", "bzip2", "lz4", "snappy", "xz", "zstd"] = "gzip"
    wal_max_parallel: int = Field(default=8, ge=1, le=64)


class PostgresqlConfig(DataService):
    """The CloudNativePG cluster `aegis-postgresql`."""

    instances: int = Field(ge=1, le=9)
    database: SqlName
    owner: SqlName
    credentials_secret: DnsName
    resources: Resources
    storage: Storage
    zone_spread: ZoneSpread = "required"
    parameters: dict[str, SettingValue] = {}
    backup: PostgresqlBackup = PostgresqlBackup()
    pooler: PoolerConfig


class ExporterConfig(Section):
    """The metrics exporter beside each Redis instance."""

    enabled: bool = True
    resources: Resources


class RedisConfig(DataService):
    """The Redis cluster `aegis-redis`."""

    cluster_version: Literal["v6", "v7"] = "v7"
    leaders: int = Field(ge=3, le=100, description="a Redis cluster needs three leaders for a majority")
    followers: int = Field(ge=0, le=100)
    credentials_secret: DnsName
    resources: Resources
    storage: Storage
    node_conf_storage_size: Size = "1Gi"
    zone_spread: ZoneSpread = "required"
    config: dict[str, SettingValue] = {}
    exporter: ExporterConfig


class TopicConfig(Section):
    """A Kafka topic."""

    name: TopicName
    partitions: int = Field(ge=1, le=10000)
    replicas: int = Field(ge=1, le=9)
    config: dict[str, Scalar] = {}


class KafkaConfig(DataService):
    """The Strimzi cluster `aegis-kafka`: brokers that are KRaft controllers too."""

    replicas: int = Field(ge=1, le=99)
    resources: Resources
    storage: Storage
    zone_spread: ZoneSpread = "required"
    external_access: bool = True
    config: dict[str, Scalar] = {}
    topics: list[TopicConfig] = []

    @field_validator("replicas")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd: brokers are KRaft controllers, and an even number adds no fault tolerance")
        return value

    @field_validator("topics")
    @classmethod
    def _topics_once(cls, value: list[TopicConfig]) -> list[TopicConfig]:
        names = [topic.name for topic in value]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"declares {', '.join(repeated)} more than once; every topic must be declared once")
        return value


class SchemaRegistryConfig(DataService):
    """Confluent Schema Registry in front of Kafka."""

    replicas: int = Field(ge=1, le=9)
    compatibility: Literal["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]
    topic: Annotated[str, matching(r"[a-zA-Z0-9._-]{1,249}", "must be letters, digits, '.', '_' and '-', at most 249 characters")]
    topic_replication_factor: int = Field(ge=1, le=9)
    heap: Heap
    resources: Resources
