# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong inventories: one change each to a right one, and what must be said about it.

The unit tests give every row to the model, the end-to-end tests give FRONT_DOOR to ansible-playbook.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# The overlay begins with this, so that no wrong value is on a file's first lines.
HEADER = "# A copy of inventories/local\n# with one wrong value.\n---\n"
MERGED = " or in a file merged into it"


@dataclass(frozen=True)
class Wrong:
    """A wrong inventory.

    at: variable and keys of the change, by `/`. value: its YAML. allowed: what the message must say.
    variable: what the message names; empty: `at`.
    place: where it says that was written. `overlay`: its very line; `base`: a line of the base, which the change made wrong;
    `merged`: near it, for a true, false or null, which Ansible cannot tag; `anywhere`: not looked at.
    given: YAML of what else the inventory says, all of it right.
    """

    id: str
    at: str
    value: str
    allowed: str
    variable: str = ""
    place: Literal["overlay", "base", "merged", "anywhere"] = "overlay"
    given: str = ""

    @property
    def named(self) -> str:
        return self.variable or self.at.replace("/", ".")

    @property
    def overlay(self) -> str:
        """The text of a group_vars file; the last line is the wrong one."""
        *above, last = self.at.split("/")
        lines = ["  " * depth + f"{key}:\n" for depth, key in enumerate(above)]
        return HEADER + "".join(lines) + "  " * len(above) + f"{last}: {self.value}\n"

    def check_origin(self, origin: str, overlay: Path) -> None:
        """Assert that `origin` is the right place; `overlay` is the file of the wrong value."""
        if self.place == "merged":
            assert origin.endswith(MERGED), origin
        elif self.place == "base":
            path, _, number = origin.rpartition(":")
            assert "group_vars/all/" in path or "/aegis/" in path, origin
            written = Path(path).read_text(encoding="utf-8").splitlines()[int(number) - 1]
            key = self.named.rpartition("aegis_")[2].split(".", 1)[1]
            assert any(written.strip().startswith(f"{key.split('.', n)[-1]}:") for n in range(key.count(".") + 1)), written
        elif self.place == "overlay":
            assert origin == f"{overlay}:{len(self.overlay.splitlines())}"


_POOL = "min_size: 1, max_size: 1, instance_type: m5, memory: 8Gi, disk_size: 50Gi"
_TOPIC = "partitions: 1, replicas: 1"

FRONT_DOOR = (
    # Networks
    Wrong("pods-in-vpc", "aegis_cluster/pod_cidr", "10.0.128.0/17", "overlaps vpc_cidr (10.0.0.0/16)"),
    Wrong("services-in-vpc", "aegis_cluster/service_cidr", "10.0.0.0/20", "overlaps vpc_cidr (10.0.0.0/16)"),
    Wrong("services-in-pods", "aegis_cluster/service_cidr", "10.244.0.0/20", "overlaps pod_cidr (10.244.0.0/16)"),
    Wrong("cidr-host-bits", "aegis_cluster/vpc_cidr", "10.0.0.1/16", "such as 10.0.0.0/16 (10.0.0.1/16 has host bits set)"),
    # Cluster
    Wrong("one-zone", "aegis_cluster/availability_zones", "[local-a]", "at least 2 items"),
    Wrong("repeated-zone", "aegis_cluster/availability_zones", "[a, b, b]", "names b more than once; every zone must be"),
    Wrong(
        "fewer-zones-than-instances",
        "aegis_cluster/availability_zones",
        "[local-a, local-b]",
        "needs 3 zones with zone_spread `required`, but aegis_cluster.availability_zones has 2",
        variable="aegis_postgresql.instances",
        place="base",
    ),
    Wrong("max-below-min", "aegis_cluster/node_configs/data/max_size", "2", "at least min_size (3)"),
    Wrong("no-nodes", "aegis_cluster/node_configs/data/min_size", "0", "greater than or equal to 1"),
    Wrong("unsupported-kubernetes", "aegis_cluster/kubernetes_version", "1.33.4", "supported: 1.34, 1.35, 1.36"),
    Wrong("half-a-version", "aegis_cluster/kubernetes_version", "1.36", "must be a full Kubernetes version such as 1.36.3"),
    Wrong("unknown-provider", "aegis_cluster/provider", "eks", "should be 'local' or 'existing'"),
    Wrong(
        "incomplete-pool",
        "aegis_cluster/node_configs/batch",
        f"{{{_POOL}}}",
        "is missing and has no default; add it",
        variable="aegis_cluster.node_configs.batch.cpu",
    ),
    Wrong(
        "simulation-of-a-real-cluster",
        "aegis_cluster/simulation",
        "{delay: 1s}",
        "only works with provider `local`",
        given="aegis_cluster: {provider: existing}",
    ),
    # Amounts
    Wrong("bad-quantity", "aegis_kafka/resources/limits/cpu", "1 core", "a Kubernetes quantity such as 500m, 2"),
    Wrong("size-without-unit", "aegis_kafka/storage/size", "500", "sizes need a unit, for example 100Gi"),
    Wrong("postgresql-request", "aegis_postgresql/resources/requests/memory", "8Gi", "not be larger than limits.memory (1Gi)"),
    # Backup
    Wrong("four-cron-fields", "aegis_backup/schedule", "0 2 * *", "five fields: minute hour day month weekday"),
    Wrong("sunday-in-seoul", "aegis_backup/schedule", "0 2 * * 0", "another day in UTC than in Asia/Seoul, so its day fields"),
    Wrong(
        "daylight-saving",
        "aegis_platform/timezone",
        "Europe/Berlin",
        "Europe/Berlin has daylight saving; use a zone without it",
        variable="aegis_backup.schedule",
        place="base",
    ),
    Wrong("negative-retention", "aegis_backup/retention_days", "-1", "greater than or equal to 1"),
    Wrong("bucket-url", "aegis_backup/storage_location", "aegis-backups", "a bucket URL such as s3://aegis-backups"),
    # Platform
    Wrong("unknown-time-zone", "aegis_platform/timezone", "Asia/Soul", "IANA database such as Asia/Seoul"),
    Wrong("unknown-environment", "aegis_platform/environment", "prod", "'local', 'dev', 'staging' or 'production'"),
    # Services
    Wrong("unknown-pool", "aegis_kafka/node_pool", "databases", "pools: application, control-plane, data, platform"),
    Wrong("unknown-namespace", "aegis_redis/namespace", "cache", "is not in aegis_namespaces; known: aegis-data, aegis-"),
    Wrong("even-brokers", "aegis_kafka/replicas", "4", "must be odd"),
    Wrong(
        "topic-replicas",
        "aegis_kafka/topics",
        "[{name: a, partitions: 1, replicas: 5}]",
        "must not be more than the brokers (3)",
        variable="aegis_kafka.topics[0].replicas",
    ),
    Wrong("same-topic-twice", "aegis_kafka/topics", f"[{{name: a, {_TOPIC}}}, {{name: a, {_TOPIC}}}]", "a more than once"),
    Wrong("min-insync", "aegis_kafka/config/min.insync.replicas", "3", "must be less than default.replication.factor (3)"),
    Wrong("kafka-listeners", "aegis_kafka/config/listeners", "PLAINTEXT://:9092", "set by Strimzi itself; remove it"),
    Wrong("too-many-connections", "aegis_postgresql/pooler/default_pool_size", "100", "max_connections (200) less 10 reserved"),
    Wrong("maxmemory", "aegis_redis/config/maxmemory", "500mb", "must leave at least a tenth of limits.memory (512Mi) free"),
    Wrong(
        "registry-without-kafka",
        "aegis_kafka/enabled",
        "false",
        "needs Kafka; enable aegis_kafka or disable it",
        variable="aegis_schema_registry.enabled",
        place="merged",
    ),
    # Types and names
    Wrong("text-for-number", "aegis_kafka/replicas", "three", "should be a valid integer"),
    Wrong("list-for-dictionary", "aegis_postgresql/storage", "[10Gi]", "should be a dictionary"),
    Wrong("bool-for-list", "aegis_cluster/availability_zones", "true", "should be a valid list", place="merged"),
    Wrong("misspelt-key", "aegis_kafka/replicsa", "5", "unknown key; did you mean `replicas`? known here: config, enabled"),
    Wrong("misspelt-deep", "aegis_cluster/node_configs/data/max_sise", "9", "unknown key; did you mean `max_size`?"),
    Wrong("misspelt-variable", "aegis_kafak", "{replicas: 5}", "did you mean `aegis_kafka`? known here: aegis_backup"),
    Wrong("secret", "aegis_backup/password", "hunter2", "unknown key; known here: credentials_secret"),
)

MORE = (
    # Networks
    Wrong("no-cidr", "aegis_cluster/vpc_cidr", "10.0.0.0", "such as 10.0.0.0/16 (the prefix length is missing)"),
    Wrong("bad-cidr", "aegis_cluster/pod_cidr", "10.0.0.0/33", "must be a network in CIDR form such as 10.0.0.0/16"),
    Wrong("null-cidr", "aegis_cluster/pod_cidr", "null", "should be text; quote what YAML reads", place="merged"),
    Wrong(
        "vpc-over-pods",
        "aegis_cluster/vpc_cidr",
        "10.244.0.0/15",
        "overlaps vpc_cidr (10.244.0.0/15)",
        variable="aegis_cluster.pod_cidr",
        place="base",
    ),
    Wrong(
        "ipv6-overlap",
        "aegis_cluster/pod_cidr",
        '"fd00::/48"',
        "overlaps vpc_cidr",
        given='aegis_cluster: {vpc_cidr: "fd00::/32"}',
    ),
    # Cluster
    Wrong("more-instances-than-zones", "aegis_postgresql/instances", "4", "lower it, or set zone_spread to `preferred`"),
    Wrong(
        "min-above-max",
        "aegis_cluster/node_configs/data/min_size",
        "7",
        "at least min_size (7)",
        variable="aegis_cluster.node_configs.data.max_size",
        place="base",
    ),
    Wrong("version-with-v", "aegis_cluster/kubernetes_version", "v1.36.3", "full Kubernetes version such as 1.36.3"),
    Wrong("cluster-name", "aegis_cluster/cluster_name", "Aegis_Local", "a DNS label: lower-case letters, digits and '-'"),
    Wrong("no-kubeconfig", "aegis_cluster/kubeconfig", '""', "at least 1 character"),
    Wrong("pool-name", "aegis_cluster/node_configs/Batch_1", f"{{cpu: 1, {_POOL}}}", "must be a DNS label"),
    Wrong(
        "taint-effect",
        "aegis_cluster/node_configs/data/taints",
        "[{key: a, effect: Never}]",
        "should be 'NoSchedule', 'PreferNoSchedule' or 'NoExecute'",
        variable="aegis_cluster.node_configs.data.taints[0].effect",
    ),
    Wrong("pool-is-text", "aegis_cluster/node_configs/data", "large", "should be a dictionary"),
    Wrong(
        "no-pools",
        "aegis_cluster/node_configs",
        "{control-plane: null, application: null, data: null, platform: null}",
        "must name at least one pool",
        place="anywhere",
        given="{aegis_postgresql: {node_pool: ''}, aegis_redis: {node_pool: ''}, aegis_kafka: {node_pool: ''}}",
    ),
    Wrong("simulation-delay", "aegis_cluster/simulation/delay", "soon", "the unit ms, s or m, for example 30s"),
    # Amounts
    Wrong("gigabytes", "aegis_postgresql/storage/size", "10GB", "a Kubernetes quantity such as 500m, 2, 512Mi or 100Gi"),
    Wrong("pooler-request", "aegis_postgresql/pooler/resources/requests/memory", "1Gi", "larger than limits.memory (256Mi)"),
    Wrong("redis-request", "aegis_redis/resources/requests/cpu", "2", "larger than limits.cpu (500m)"),
    Wrong("exporter-request", "aegis_redis/exporter/resources/requests/memory", "1Gi", "larger than limits.memory (128Mi)"),
    Wrong("kafka-request", "aegis_kafka/resources/requests/memory", "16Gi", "larger than limits.memory (1Gi)"),
    Wrong("registry-request", "aegis_schema_registry/resources/requests/cpu", "750m", "larger than limits.cpu (500m)"),
    Wrong("wait-timeout", "aegis_kafka/wait_timeout", "5", "greater than or equal to 10"),
    # Backup
    Wrong("minute-61", "aegis_backup/schedule", "61 2 * * *", "must be a cron expression such as '0 2 * * *'"),
    Wrong("six-cron-fields", "aegis_backup/schedule", "0 0 2 * * *", "must be a cron expression of five fields"),
    Wrong(
        "half-hour-zone",
        "aegis_platform/timezone",
        "Asia/Kolkata",
        "Asia/Kolkata is not whole hours from it",
        variable="aegis_backup.schedule",
        place="base",
    ),
    Wrong("https-bucket", "aegis_backup/storage_location", "https://aegis-backups", "a bucket URL such as s3://"),
    Wrong("endpoint", "aegis_backup/endpoint_url", "minio:9000", "must be an http(s) URL such as https://minio.example.com"),
    Wrong(
        "resource-name", "aegis_backup/exclude_resources", "[Events]", "DNS label", variable="aegis_backup.exclude_resources[0]"
    ),
    # Platform and operators
    Wrong("team-label", "aegis_platform/team", "Team A", "must be a DNS label"),
    Wrong("team-number", "aegis_platform/team", "42", "should be text; quote what YAML reads"),
    Wrong("team-list", "aegis_platform/team", "[a]", "should be text; quote what YAML reads"),
    Wrong("domain", "aegis_platform/domain", "aegis..localhost", "must be a DNS label"),
    Wrong("pod-security", "aegis_namespaces/aegis-data/pod_security", "none", "'restricted', 'baseline' or 'privileged'"),
    Wrong("namespace-name", "aegis_namespaces/Data", "{pod_security: baseline}", "must be a DNS label"),
    Wrong("operators-install", "aegis_operators/install", "none", "should be 'full' or 'crds'"),
    Wrong("operators-replicas", "aegis_operators/replicas", "0", "greater than or equal to 1"),
    # PostgreSQL
    Wrong("database", "aegis_postgresql/database", "Aegis-DB", "lower-case letters, digits and '_'"),
    Wrong("pool-mode", "aegis_postgresql/pooler/pool_mode", "statement", "should be 'session' or 'transaction'"),
    Wrong("archive-mode", "aegis_postgresql/parameters/archive_mode", "always", "is set by CloudNativePG itself; remove it"),
    Wrong("ssl-prefix", "aegis_postgresql/parameters/ssl_ciphers", "HIGH", "is set by CloudNativePG itself; remove it"),
    Wrong("parameter-bool", "aegis_postgresql/parameters/autovacuum", "yes", "quote what YAML reads as true", place="merged"),
    Wrong("parameter-list", "aegis_postgresql/parameters/work_mem", "[1MB]", "must be text or a number"),
    Wrong("max-connections-text", "aegis_postgresql/parameters/max_connections", "many", "must be a whole number"),
    Wrong(
        "few-connections",
        "aegis_postgresql/parameters/max_connections",
        "84",
        "times pooler.instances (3) is more than max_connections (84) less 10 reserved ones",
        variable="aegis_postgresql.pooler.default_pool_size",
        place="base",
    ),
    Wrong("shared-buffers", "aegis_postgresql/parameters/shared_buffers", "1GB", "larger than resources.requests.memory (512Mi)"),
    Wrong("shared-buffers-unit", "aegis_postgresql/parameters/shared_buffers", "25%", "with the unit kB, MB or GB"),
    Wrong("wal-compression", "aegis_postgresql/backup/wal_compression", "zip", "'gzip', 'bzip2', 'lz4'"),
    # Redis
    Wrong("two-leaders", "aegis_redis/leaders", "2", "greater than or equal to 3"),
    Wrong("redis-version", "aegis_redis/cluster_version", "v5", "should be 'v6' or 'v7'"),
    Wrong("cluster-enabled", "aegis_redis/config/cluster-enabled", "true-ish", "is set by the Redis operator itself"),
    Wrong("redis-port", "aegis_redis/config/port", "6380", "is set by the Redis operator itself; remove it"),
    Wrong("maxmemory-in-gb", "aegis_redis/config/maxmemory", "2gb", "at least a tenth of limits.memory (512Mi)"),
    Wrong("maxmemory-in-bytes", "aegis_redis/config/maxmemory", "536870912", "at least a tenth of limits.memory (512Mi)"),
    Wrong("maxmemory-text", "aegis_redis/config/maxmemory", "most", "must be a whole number with the unit kb, mb or gb"),
    # Kafka
    Wrong(
        "topic-name",
        "aegis_kafka/topics",
        f"[{{name: User_Events, {_TOPIC}}}]",
        "must be lower-case letters, digits, '-' and '.'",
        variable="aegis_kafka.topics[0].name",
    ),
    Wrong(
        "second-topic",
        "aegis_kafka/topics",
        f"[{{name: a, {_TOPIC}}}, {{name: b, partitions: 0, replicas: 1}}]",
        "greater than or equal to 1",
        variable="aegis_kafka.topics[1].partitions",
    ),
    Wrong(
        "topic-key",
        "aegis_kafka/topics",
        f"[{{name: a, {_TOPIC}, configs: {{}}}}]",
        "did you mean `config`? known here: config, name, partitions, replicas",
        variable="aegis_kafka.topics[0].configs",
    ),
    Wrong(
        "topic-without-name",
        "aegis_kafka/topics",
        f"[{{{_TOPIC}}}]",
        "is missing and has no default",
        variable="aegis_kafka.topics[0].name",
    ),
    Wrong(
        "topic-null",
        "aegis_kafka/topics",
        "[{name: a, partitions: null, replicas: 1}]",
        "should be a valid integer",
        variable="aegis_kafka.topics[0].partitions",
    ),
    Wrong(
        "topic-setting",
        "aegis_kafka/topics",
        f"[{{name: a, {_TOPIC}, config: {{retention.ms: [1]}}}}]",
        "must be text, a number, true or false",
        variable="aegis_kafka.topics[0].config.retention.ms",
    ),
    Wrong("topics-dictionary", "aegis_kafka/topics", f"{{a: {{{_TOPIC}}}}}", "should be a valid list"),
    Wrong("default-factor", "aegis_kafka/config/default.replication.factor", "5", "must not be more than the brokers (3)"),
    Wrong("offsets-factor", "aegis_kafka/config/offsets.topic.replication.factor", "5", "not be more than the brokers (3)"),
    Wrong(
        "transaction-factor",
        "aegis_kafka/config/transaction.state.log.replication.factor",
        "4",
        "must not be more than the brokers (3)",
    ),
    Wrong(
        "transaction-isr",
        "aegis_kafka/config/transaction.state.log.min.isr",
        "3",
        "less than transaction.state.log.replication.factor (3), or one lost broker stops all writes",
    ),
    Wrong(
        "factor-below-insync",
        "aegis_kafka/config/default.replication.factor",
        "1",
        "must be less than default.replication.factor (1)",
        variable="aegis_kafka.config.min.insync.replicas",
        place="base",
    ),
    Wrong("kafka-log-dirs", "aegis_kafka/config/log.dirs", "/data", "is set by Strimzi itself; remove it"),
    Wrong("kafka-ssl-prefix", "aegis_kafka/config/ssl.keystore.type", "PEM", "is set by Strimzi itself; remove it"),
    Wrong("kafka-setting-list", "aegis_kafka/config/log.retention.hours", "[168]", "must be text, a number, true or false"),
    # Schema Registry
    Wrong("compatibility", "aegis_schema_registry/compatibility", "BACKWARDS", "'NONE', 'BACKWARD', 'BACKWARD_TRANSITIVE'"),
    Wrong("heap", "aegis_schema_registry/heap", "512", "a whole number with the unit M or G, for example 512M"),
    Wrong("registry-topic", "aegis_schema_registry/topic", "sche mas", "letters, digits, '.', '_' and '-'"),
    Wrong("registry-factor", "aegis_schema_registry/topic_replication_factor", "4", "not be more than the brokers (3)"),
    # Types and names
    Wrong("bool-for-number", "aegis_redis/leaders", "true", "must be a whole number, not true or false", place="merged"),
    Wrong("text-for-bool", "aegis_redis/enabled", "perhaps", "should be a valid boolean"),
    Wrong("text-for-dictionary", "aegis_kafka/storage", "500Gi", "should be a dictionary"),
    Wrong("null-section", "aegis_redis", "null", "should be a dictionary", place="merged"),
    Wrong("fraction", "aegis_redis/followers", "1.5", "should be a valid integer"),
    Wrong("misspelt-pooler", "aegis_postgresql/pooler/pool_mod", "session", "did you mean `pool_mode`?"),
    Wrong("misspelt-limit", "aegis_redis/resources/limits/memroy", "1Gi", "did you mean `memory`? known here: cpu, memory"),
    Wrong("misspelt-namespace", "aegis_namespaces/aegis-data/pod_securty", "baseline", "did you mean `pod_security`?"),
    Wrong("unlike-any-key", "aegis_kafka/zzz", "1", "unknown key; known here: config, enabled, external_access"),
)
