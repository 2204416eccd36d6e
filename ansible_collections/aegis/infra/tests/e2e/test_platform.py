# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform as a user runs it: build, build again, drift, tags, overrides, secrets."""

from __future__ import annotations

import base64
import json
import stat
from typing import Any
from xml.etree import ElementTree

import yaml

from .conftest import MakeInventory, Platform

SERVICES = ("postgresql", "aegis-redis", "aegis-kafka-bootstrap", "schema-registry")


def versions(platform: Platform) -> dict[str, str]:
    """resourceVersion of everything the platform declares; what controllers write all the time is left out."""
    kinds = (
        "namespaces,configmaps,secrets,services,deployments,poddisruptionbudgets,clusters.postgresql.cnpg.io,poolers,"
        "scheduledbackups,objectstores,redisclusters,kafkas,kafkanodepools,kafkatopics,podmonitors,customresourcedefinitions"
    )
    items = json.loads(platform.cluster.kubectl("get", kinds, "--all-namespaces", "-o", "json"))["items"]
    return {
        f"{i['kind']} {i['metadata'].get('namespace', '')}/{i['metadata']['name']}": i["metadata"]["resourceVersion"]
        for i in items
    }


def test_first_run_builds_everything_and_says_where(platform: Platform) -> None:
    assert platform.first is not None
    output = platform.first.ok().output
    for service in SERVICES:
        assert f"{service}.aegis-data.svc.cluster.local" in output
    assert str(platform.cluster.kubeconfig) in output
    assert stat.S_IMODE(platform.cluster.kubeconfig.stat().st_mode) == 0o600


def test_second_run_changes_nothing(platform: Platform) -> None:
    before = versions(platform)
    run = platform.play("site.yml").ok()
    assert run.recap["changed"] == 0, run.output
    assert versions(platform) == before


def test_every_custom_resource_is_ready(platform: Platform) -> None:
    get = platform.cluster.get
    cluster = get("clusters.postgresql.cnpg.io", "aegis-postgresql", "aegis-data")
    assert cluster["status"]["phase"] == "Cluster in healthy state"
    assert cluster["status"]["readyInstances"] == 3
    assert get("poolers.postgresql.cnpg.io", "postgresql", "aegis-data")["status"]["phase"] == "active"
    assert get("redisclusters", "aegis-redis", "aegis-data")["status"]["state"] == "Ready"
    kafka = get("kafkas", "aegis-kafka", "aegis-data")
    assert {"type": "Ready", "status": "True"}.items() <= next(
        c for c in kafka["status"]["conditions"] if c["type"] == "Ready"
    ).items()
    assert len(get("kafkanodepools", "combined", "aegis-data")["status"]["nodeIds"]) == 3


def test_services_have_endpoints_in_every_zone(platform: Platform) -> None:
    nodes = json.loads(platform.cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    zone_of = {node["metadata"]["name"]: node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes}
    for service in SERVICES:
        selector = f"kubernetes.io/service-name={service}"
        found = platform.cluster.kubectl("get", "endpointslices", "-n", "aegis-data", "-l", selector, "-o", "json")
        endpoints = [e for item in json.loads(found)["items"] for e in item["endpoints"] if e["conditions"]["ready"]]
        zones = {zone_of[endpoint["nodeName"]] for endpoint in endpoints}
        assert len(zones) >= min(3, len(endpoints)) >= 2, f"{service}: {endpoints}"


def test_data_pods_run_on_the_data_pool(platform: Platform) -> None:
    pods = json.loads(platform.cluster.kubectl("get", "pods", "-n", "aegis-data", "-o", "json"))["items"]
    for prefix in ("aegis-postgresql-", "aegis-redis-leader-", "aegis-redis-follower-", "aegis-kafka-combined-"):
        nodes = [pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["name"].startswith(prefix)]
        assert len(nodes) == 3, f"{prefix}: {nodes}"
        assert all(node.startswith("data-") for node in nodes), f"{prefix}: {nodes}"


def test_verify_reports_what_it_could_not_ask(platform: Platform) -> None:
    run = platform.play("verify.yml").ok()
    reports = platform.state / "reports"
    report = json.loads((reports / "verify.json").read_text())
    assert report["summary"]["fail"] == 0
    answers = [check for check in report["checks"] if check["group"] == "answers"]
    assert len(answers) == len(SERVICES)
    assert all(check["status"] == "skip" and "skipped (simulated)" in check["evidence"] for check in answers)
    suite = ElementTree.parse(reports / "verify.xml").getroot()  # noqa: S314 - our own file
    assert int(suite.attrib["tests"]) == len(report["checks"]) == len(suite.findall("testcase"))
    assert "skipped (simulated)" in run.output


def test_verify_fails_on_what_is_wrong(platform: Platform) -> None:
    platform.cluster.kubectl("label", "namespace", "aegis-data", "team-")
    platform.cluster.kubectl("delete", "service", "schema-registry", "-n", "aegis-data")
    run = platform.play("verify.yml")
    assert run.code != 0
    assert "aegis-data: label team is None" in run.output
    assert "schema-registry.aegis-data: the Service does not exist" in run.output
    suite = ElementTree.parse(platform.state / "reports" / "verify.xml").getroot()  # noqa: S314 - our own file
    assert suite.attrib["failures"] == "2"
    platform.play("site.yml").ok()


def test_drift_is_named_and_repaired_and_check_tells_the_same(platform: Platform) -> None:
    kubectl = platform.cluster.kubectl
    kubectl("delete", "service", "aegis-redis", "-n", "aegis-data")
    kubectl("patch", "deployment", "schema-registry", "-n", "aegis-data", "--type=merge", "-p", '{"spec":{"replicas":1}}')
    kubectl("label", "namespace", "aegis-production", "environment-")
    edited = json.dumps({"data": {"redis-additional.conf": "maxmemory 1\n"}})
    kubectl("patch", "configmap", "aegis-redis-config", "-n", "aegis-data", "--type=merge", "-p", edited)
    expected = {
        "Service aegis-data/aegis-redis",
        "Deployment aegis-data/schema-registry",
        "Namespace aegis-production",
        "ConfigMap aegis-data/aegis-redis-config",
    }
    before = versions(platform)
    check = platform.play("site.yml", "--check", "--diff").ok()
    assert check.touched == expected, check.output
    assert "-    maxmemory 1" in check.output
    assert versions(platform) == before, "check mode changed the cluster"
    repaired = platform.play("site.yml", "--diff").ok()
    assert repaired.touched == expected, repaired.output
    assert "undoing kubectl-patch (.spec.replicas)" in repaired.output
    assert platform.cluster.get("deployment", "schema-registry", "aegis-data")["spec"]["replicas"] == 2
    assert platform.play("site.yml", "--check", "--diff").ok().touched == set()
    assert platform.play("site.yml").ok().recap["changed"] == 0


def test_a_components_tag_touches_only_that_component(platform: Platform) -> None:
    changes = {
        "aegis_postgresql": {"parameters": {"max_connections": 300}},
        "aegis_redis": {"config": {"appendfsync": "always"}},
        "aegis_platform": {"team": "other"},
    }
    run = platform.play("site.yml", "--tags", "postgresql", "--check", "-e", json.dumps(changes)).ok()
    assert run.touched
    assert all("postgresql" in name or "aws-credentials" in name for name in run.touched), run.touched
    skipped = platform.play("site.yml", "--skip-tags", "postgresql,operators", "--check", "-e", json.dumps(changes)).ok()
    assert not [name for name in skipped.touched if "postgresql" in name or name.startswith("Namespace")], skipped.touched
    assert "ConfigMap aegis-data/aegis-redis-config" in skipped.touched


OVERRIDES: dict[str, Any] = {
    "aegis_postgresql": {
        "instances": 2,
        "parameters": {"max_connections": 250, "work_mem": "4096kB"},
        "storage": {"size": "20Gi"},
        "pooler": {"default_pool_size": 30, "instances": 2},
    },
    "aegis_redis": {"config": {"maxmemory": "256mb", "save": "600 1"}, "followers": 4},
    "aegis_kafka": {
        "config": {"log.retention.hours": 24, "num.io.threads": 4},
        "topics": [{"name": "audit.events", "partitions": 3, "replicas": 3}],
        "external_access": False,
    },
    "aegis_schema_registry": {"compatibility": "FULL", "replicas": 3},
    "aegis_backup": {"retention_days": 7, "schedule": "30 3 * * *", "storage_location": "s3://other-backups"},
}
# kind, name, path into the object, expected value
EXPECTED = (
    ("Cluster", "aegis-postgresql", "spec.instances", "2"),
    ("Cluster", "aegis-postgresql", "spec.postgresql.parameters.max_connections", "250"),
    ("Cluster", "aegis-postgresql", "spec.postgresql.parameters.work_mem", "4096kB"),
    ("Cluster", "aegis-postgresql", "spec.storage.size", "20Gi"),
    ("Pooler", "postgresql", "spec.pgbouncer.parameters.default_pool_size", "30"),
    ("Pooler", "postgresql", "spec.instances", "2"),
    ("RedisCluster", "aegis-redis", "spec.redisFollower.replicas", "4"),
    ("Kafka", "aegis-kafka", "spec.kafka.config.log.retention.hours", "24"),
    ("Kafka", "aegis-kafka", "spec.kafka.config.num.io.threads", "4"),
    ("KafkaTopic", "audit.events", "spec.partitions", "3"),
    ("Deployment", "schema-registry", "spec.replicas", "3"),
    ("ObjectStore", "aegis-postgresql", "spec.retentionPolicy", "7d"),
    ("ObjectStore", "aegis-postgresql", "spec.configuration.destinationPath", "s3://other-backups/postgresql"),
    ("ScheduledBackup", "aegis-postgresql-daily", "spec.schedule", "0 30 18 * * *"),
)


def dig(obj: Any, path: str) -> Any:
    """The value at a dotted path; a key may have dots itself."""
    if not path:
        return obj
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        key = ".".join(parts[:length])
        if isinstance(obj, dict) and key in obj:
            return dig(obj[key], ".".join(parts[length:]))
    return None


def rendered(output: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Objects of a fresh `--check --diff`, read back from the diff by kind and name."""
    objects = {}
    for block in output.split("\n--- before: ")[1:]:
        text = "\n".join(line[1:] for line in block.splitlines()[3:] if line.startswith("+"))
        obj = yaml.safe_load(text)
        if isinstance(obj, dict):
            objects[obj["kind"], obj["metadata"]["name"]] = obj
    return objects


def test_inventory_and_command_line_reach_the_manifests(platform: Platform, inventory: MakeInventory, tmp_path: Any) -> None:
    """On a state folder without a cluster, so that the whole of every object is in the diff."""
    by_inventory = platform.play(
        "data.yml", "--check", "--diff", f"-e aegis_state_dir={tmp_path}", inventory=inventory(OVERRIDES)
    )
    by_command = platform.play("data.yml", "--check", "--diff", f"-e aegis_state_dir={tmp_path}", "-e", json.dumps(OVERRIDES))
    for run in (by_inventory, by_command):
        objects = rendered(run.ok().output)
        found = {(kind, name, path): str(dig(objects[kind, name], path)) for kind, name, path, _ in EXPECTED}
        assert found == {(kind, name, path): value for kind, name, path, value in EXPECTED}
        config = objects["ConfigMap", "aegis-redis-config"]["data"]["redis-additional.conf"]
        assert "maxmemory 256mb" in config
        assert "save 600 1" in config
        assert [listener["name"] for listener in objects["Kafka", "aegis-kafka"]["spec"]["kafka"]["listeners"]] == [
            "plain",
            "tls",
        ]
        env = objects["Deployment", "schema-registry"]["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {"name": "SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL", "value": "FULL"} in env


def test_credentials_are_made_once_and_never_shown(platform: Platform) -> None:
    secrets = {}
    for name in ("aegis-postgresql-credentials", "aegis-redis-credentials", "aws-credentials"):
        secrets[name] = platform.cluster.get("secret", name, "aegis-data")["data"]
    platform.cluster.kubectl("label", "secret", "aegis-redis-credentials", "-n", "aegis-data", "team-")
    run = platform.play("site.yml", "--diff", "-vvv").ok()
    assert "Secret aegis-data/aegis-redis-credentials" in run.touched
    printed = "\n".join(platform.outputs)
    for name, data in secrets.items():
        assert platform.cluster.get("secret", name, "aegis-data")["data"] == data, f"{name} was made anew"
        for key, value in data.items():
            if key != "username":
                assert value not in printed, f"{name}.{key} was printed"
                assert base64.b64decode(value).decode() not in printed, f"{name}.{key} was printed in clear"
    stored = [path for path in platform.state.rglob("*.json") if "reports" in path.parts]
    assert stored
