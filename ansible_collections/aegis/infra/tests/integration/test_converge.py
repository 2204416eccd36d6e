# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against a real API server: apply, conflicts, waiting, faults."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aegis.infra.plugins.module_utils.engine.client import connect
from ansible_collections.aegis.infra.plugins.module_utils.engine.converge import Component, Options, Result, converge
from ansible_collections.aegis.infra.plugins.module_utils.engine.errors import ConnectionFailed, PlanError
from ansible_collections.aegis.infra.plugins.module_utils.engine.objects import Ref
from ansible_collections.aegis.infra.plugins.module_utils.engine.readiness import HealthRule

from ..conftest import Devcluster
from .fault_proxy import FaultProxy

SEED = int(os.environ.get("AEGIS_TEST_SEED", random.randrange(10**6)))  # noqa: S311
LABELS = {"app": "test", "team": "test"}


def run(cluster: Devcluster | Path, *components: Component, progress: list[str] | None = None, **options: Any) -> Result:
    kubeconfig = cluster.kubeconfig if isinstance(cluster, Devcluster) else cluster

    async def main() -> Result:
        async with connect(str(kubeconfig)) as client:
            return await converge(client, list(components), Options(**options), (progress if progress is not None else []).append)

    return asyncio.run(main())


def actions(result: Result) -> dict[str, str]:
    return {str(outcome.ref): outcome.action for outcome in result.outcomes}


def failures(result: Result) -> str:
    return "\n".join(text for component in result.components for text in [*component.failures, component.blocked] if text)


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(LABELS)}}


def config_map(name: str, where: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": where},
        "data": data or {"key": "value"},
    }


def definition(kind: str, *, required: str = "") -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    spec: dict[str, Any] = {"type": "object", "properties": {"size": {"type": "integer"}}}
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.test.aegis.io"},
        "spec": {
            "group": "test.aegis.io",
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
                }
            ],
        },
    }


def custom(kind: str, name: str, where: str, size: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "test.aegis.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": where},
        "spec": {"size": size},
    }


def write_status(cluster: Devcluster, kind: str, where: str, status: dict[str, Any], *, after: float) -> threading.Thread:
    """Play an operator: `after` seconds after the object (named by its kind's first letter) is there, write a status."""

    name = kind[0]

    def play() -> None:
        while not cluster.kubectl("get", kind, name, "-n", where, "--ignore-not-found", check=False):
            time.sleep(0.2)
        time.sleep(after)
        patch = json.dumps({"status": status})
        cluster.kubectl("patch", kind, name, "-n", where, "--subresource=status", "--type=merge", "-p", patch)

    thread = threading.Thread(target=play)
    thread.start()
    return thread


def test_twice_is_once_and_asks_by_the_list(plain: Devcluster) -> None:
    objects = [namespace("twice"), *(config_map(f"c{number}", "twice") for number in range(20))]
    assert set(actions(run(plain, Component("c", objects))).values()) == {"created"}
    before = plain.kubectl("get", "configmaps", "-n", "twice", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    second = run(plain, Component("c", objects))
    assert set(actions(second).values()) == {"unchanged"}
    assert plain.kubectl("get", "configmaps", "-n", "twice", "-o", "jsonpath={.items[*].metadata.resourceVersion}") == before
    assert second.requests < len(objects)


def test_a_removed_field_is_removed_and_a_foreign_one_stays(plain: Devcluster) -> None:
    run(plain, Component("c", [namespace("fields"), config_map("c", "fields", ours="1", dropped="2")]))
    plain.kubectl("patch", "configmap", "c", "-n", "fields", "--type=merge", "-p", '{"data":{"theirs":"3"}}')
    result = run(plain, Component("c", [namespace("fields"), config_map("c", "fields", ours="1")]))
    assert actions(result)["ConfigMap fields/c"] == "changed"
    assert plain.get("configmap", "c", "fields")["data"] == {"ours": "1", "theirs": "3"}


def test_a_controllers_field_is_a_conflict_and_a_persons_is_drift(plain: Devcluster) -> None:
    objects = [
        namespace("owners"),
        config_map("theirs", "owners"),
        config_map("drifted", "owners"),
        config_map("other", "owners"),
    ]
    run(plain, Component("c", objects[:3]))
    for name, manager in (("theirs", "some-operator"), ("drifted", "kubectl-edit")):
        patch = ["--type=merge", "-p", '{"data":{"key":"changed"}}', f"--field-manager={manager}"]
        plain.kubectl("patch", "configmap", name, "-n", "owners", *patch)
    result = run(plain, Component("c", objects))
    assert "some-operator" in failures(result)
    assert ".data.key" in failures(result)
    assert plain.get("configmap", "theirs", "owners")["data"] == {"key": "changed"}, "a controller's value was overwritten"
    assert plain.get("configmap", "drifted", "owners")["data"] == {"key": "value"}
    assert [o.taken_from for o in result.outcomes if o.ref.name == "drifted"] == [["kubectl-edit (.data.key)"]]
    assert actions(result)["ConfigMap owners/other"] == "created"


def test_what_the_server_refuses_is_told(plain: Devcluster) -> None:
    wrong = {**config_map("c", "strict"), "dta": {}}
    assert "dta" in failures(run(plain, Component("c", [namespace("strict"), wrong])))
    unknown = {"apiVersion": "nobody.example.com/v1", "kind": "Nothing", "metadata": {"name": "n"}}
    with pytest.raises(PlanError, match=r"nobody.example.com/v1 Nothing"):
        run(plain, Component("c", [namespace("never-made"), unknown]))
    assert not plain.kubectl("get", "namespace", "never-made", "--ignore-not-found")


def test_generated_values_are_kept(plain: Devcluster) -> None:
    def secret(**data: str) -> dict[str, Any]:
        meta = {"name": "s", "namespace": "once", "labels": dict(LABELS), "annotations": {"aegis.infra/generate-once": "true"}}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}

    run(plain, Component("c", [namespace("once"), secret(password="Zmlyc3Q=")]))  # noqa: S106
    plain.kubectl("label", "secret", "s", "-n", "once", "team-")
    result = run(plain, Component("c", [namespace("once"), secret(password="c2Vjb25k", added="bmV3")]))  # noqa: S106
    assert actions(result)["Secret once/s"] == "changed"
    live = plain.get("secret", "s", "once")
    assert live["data"] == {"password": "Zmlyc3Q=", "added": "bmV3"}
    assert live["metadata"]["labels"]["team"] == "test"


def test_definitions_come_before_what_they_define(plain: Devcluster) -> None:
    progress: list[str] = []
    operator = Component("operator", [definition("Widget")])
    user = Component("user", [namespace("widgets"), custom("Widget", "w", "widgets")], requires=("operator",))
    check = run(plain, operator, user, check=True)
    assert set(actions(check).values()) == {"created"}
    assert not plain.kubectl("get", "crd", "widgets.test.aegis.io", "--ignore-not-found")
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    player = write_status(plain, "widgets.test.aegis.io", "widgets", ready, after=6)
    result = run(plain, user, operator, progress=progress)
    player.join()
    assert not failures(result)
    assert any("Widget widgets/w: has no status yet" in line for line in progress), progress
    assert actions(check).keys() == actions(result).keys()


def test_a_failure_ends_the_wait_and_blocks_only_dependants(plain: Devcluster) -> None:
    rules = {"Gadget.test.aegis.io": HealthRule(ready=("status.phase == 'ok'",), failed=("status.phase == 'broken'",), grace=1.0)}
    run(plain, Component("operator", [definition("Gadget"), namespace("gadgets")]))
    broken = Component("broken", [custom("Gadget", "g", "gadgets")], health=rules, wait_timeout=120)
    dependant = Component("dependant", [config_map("dependant", "gadgets")], requires=("broken",))
    free = Component("free", [config_map("free", "gadgets")])
    status = {
        "phase": "broken",
        "conditions": [{"type": "Ready", "status": "False", "reason": "NoDisk", "message": "disk is full"}],
    }
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "g.1", "namespace": "gadgets"},
        "involvedObject": {"kind": "Gadget", "name": "g", "namespace": "gadgets"},
        "type": "Warning",
        "reason": "DiskFull",
        "message": "no space left on the volume",
    }
    plain.kubectl("apply", "-f", "-", stdin=json.dumps(event))
    player = write_status(plain, "gadgets.test.aegis.io", "gadgets", status, after=1)
    result = run(plain, broken, dependant, free)
    player.join()
    assert "condition Ready=False NoDisk: disk is full" in failures(result)
    assert "event Warning DiskFull: no space left on the volume" in failures(result)
    assert "not ready after" not in failures(result)
    by_name = {component.name: component for component in result.components}
    assert by_name["dependant"].blocked
    assert by_name["free"].ok
    assert not plain.kubectl("get", "configmap", "dependant", "-n", "gadgets", "--ignore-not-found")


def test_a_wait_that_takes_too_long_says_for_what(plain: Devcluster) -> None:
    missing = (Ref("v1", "ConfigMap", "late", "never"),)
    result = run(plain, Component("c", [namespace("late")], wait_for=missing, wait_timeout=2))
    assert "ConfigMap late/never: not ready after 2 s: does not exist yet" in failures(result)


def test_an_object_on_its_way_out_is_made_anew(plain: Devcluster) -> None:
    held = config_map("held", "leaving")
    run(plain, Component("c", [namespace("leaving"), held]))
    plain.kubectl(
        "patch", "configmap", "held", "-n", "leaving", "--type=merge", "-p", '{"metadata":{"finalizers":["test/hold"]}}'
    )
    plain.kubectl("delete", "configmap", "held", "-n", "leaving", "--wait=false")
    old = plain.get("configmap", "held", "leaving")["metadata"]["uid"]

    def let_go() -> None:
        time.sleep(2)
        plain.kubectl("patch", "configmap", "held", "-n", "leaving", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')

    thread = threading.Thread(target=let_go)
    thread.start()
    result = run(plain, Component("c", [namespace("leaving"), held]))
    thread.join()
    assert not failures(result)
    assert plain.get("configmap", "held", "leaving")["metadata"]["uid"] != old


def many(where: str) -> list[dict[str, Any]]:
    pod = {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": where},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": pod},
        },
    }
    return [namespace(where), *(config_map(f"c{number}", where) for number in range(50)), deployment]


@pytest.mark.parametrize("round_", range(3))
def test_faults_of_server_and_network_are_survived(plain: Devcluster, tmp_path: Path, round_: int) -> None:
    seed = SEED + round_
    print(f"AEGIS_TEST_SEED={SEED}, round {round_}")
    proxy = FaultProxy(plain.kubeconfig, tmp_path, seed, rate=0.25)
    try:
        objects = many(f"faults-{round_}")
        result = run(proxy.kubeconfig, Component("c", objects, wait_timeout=60))
        assert not failures(result), proxy.faults
        assert result.retries > 0
        assert len(proxy.faults) > 5
    finally:
        proxy.close()
    assert set(actions(run(plain, Component("c", objects))).values()) == {"unchanged"}


@pytest.mark.parametrize("round_", range(3))
def test_a_run_killed_anywhere_is_finished_by_the_next(plain: Devcluster, round_: int) -> None:
    print(f"AEGIS_TEST_SEED={SEED}, round {round_}")
    moment = random.Random(SEED + round_).uniform(0.02, 0.4)  # noqa: S311
    objects = many(f"killed-{round_}")

    async def killed() -> None:
        async with connect(str(plain.kubeconfig)) as client:
            task = asyncio.create_task(converge(client, [Component("c", objects)], Options(), lambda line: None))
            await asyncio.sleep(moment)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(killed())
    assert not failures(run(plain, Component("c", objects)))
    assert set(actions(run(plain, Component("c", objects))).values()) == {"unchanged"}


def test_a_server_that_restarts_in_the_middle(plain: Devcluster) -> None:
    objects = [obj for number in range(8) for obj in many(f"restart-{number}")]
    restart = threading.Thread(target=lambda: (time.sleep(0.3), plain.run("restart", "kube-apiserver", "--kill")))
    restart.start()
    result = run(plain, Component("c", objects, wait_timeout=90))
    restart.join()
    assert not failures(result)
    assert set(actions(run(plain, Component("c", objects))).values()) == {"unchanged"}


def exec_kubeconfig(cluster: Devcluster, folder: Path, version: str) -> Path:
    """A kubeconfig whose plugin first prints a token that nobody knows, then a good one."""
    cluster.kubectl("create", "serviceaccount", "plugin", "-n", "default", check=False)
    cluster.kubectl(
        "create", "clusterrolebinding", "plugin", "--clusterrole=cluster-admin", "--serviceaccount=default:plugin", check=False
    )
    token = cluster.kubectl("create", "token", "plugin", "-n", "default").strip()
    plugin = folder / "plugin"
    answer = '{"apiVersion":"client.authentication.k8s.io/%s","kind":"ExecCredential","status":{"token":"%s"}}'
    plugin.write_text(
        "#!/bin/sh\n"
        f"if [ -e {folder}/called ]; then echo '{answer % (version, token)}'; else touch {folder}/called; "
        f"echo '{answer % (version, 'expired')}'; fi\n"
    )
    plugin.chmod(0o700)
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    api = f"client.authentication.k8s.io/{version}"
    config["users"][0]["user"] = {"exec": {"apiVersion": api, "command": str(plugin), "interactiveMode": "Never"}}
    target = folder / "config"
    target.write_text(yaml.safe_dump(config))
    return target


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_exec_plugin_is_asked_again_when_its_token_expired(plain: Devcluster, tmp_path: Path, version: str) -> None:
    result = run(exec_kubeconfig(plain, tmp_path, version), Component("c", [namespace(f"exec-{version}")]))
    assert not failures(result)
    assert (tmp_path / "called").exists()


def test_a_wrong_token_is_a_connection_problem(plain: Devcluster, tmp_path: Path) -> None:
    config = yaml.safe_load(plain.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    (tmp_path / "config").write_text(yaml.safe_dump(config))

    async def main() -> None:
        async with connect(str(tmp_path / "config")) as client:
            await client.check()

    with pytest.raises(ConnectionFailed, match="refuses these credentials"):
        asyncio.run(main())
