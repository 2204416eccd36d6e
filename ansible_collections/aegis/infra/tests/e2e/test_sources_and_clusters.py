# SPDX-License-Identifier: GPL-3.0-or-later
"""Where definitions come from, which cluster is meant, and what happens when either is wrong."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import PROJECT, Devcluster, plain_cluster, run_playbook
from .conftest import MakeInventory, Platform, without_network

MIRROR = os.environ.get("AEGIS_ARTIFACT_MIRROR", "")


def existing(kubeconfig: Path, context: str = "") -> dict[str, Any]:
    """An environment that uses a cluster which somebody else made."""
    return {"aegis_cluster": {"provider": "existing", "kubeconfig": str(kubeconfig), "context": context}}


def test_an_existing_cluster_is_the_same_platform(platform: Platform, inventory: MakeInventory) -> None:
    environment = inventory(existing(platform.cluster.kubeconfig, "aegis-local"))
    run = platform.play("site.yml", inventory=environment).ok()
    assert run.recap["changed"] == 0, run.output
    refused = platform.play("teardown.yml", inventory=environment)
    assert refused.code != 0
    assert "did not make cluster" in refused.output
    assert platform.cluster.kubectl("get", "namespace", "aegis-data")


def kubeconfig_with(platform: Platform, target: Path, change: Any) -> Path:
    config = yaml.safe_load(platform.cluster.kubeconfig.read_text())
    change(config)
    target.write_text(yaml.safe_dump(config), encoding="utf-8")
    return target


def test_an_unreachable_server(platform: Platform, inventory: MakeInventory, tmp_path: Path) -> None:
    def elsewhere(config: dict[str, Any]) -> None:
        config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"

    run = platform.play("site.yml", inventory=inventory(existing(kubeconfig_with(platform, tmp_path / "config", elsewhere))))
    assert run.code != 0
    assert "https://127.0.0.1:9 cannot be reached" in run.output
    assert "changed=0" in run.output


def test_a_context_that_does_not_exist(platform: Platform, inventory: MakeInventory) -> None:
    run = platform.play("site.yml", inventory=inventory(existing(platform.cluster.kubeconfig, "production")))
    assert run.code != 0
    assert "has no context 'production'; it has: aegis-local" in run.output
    assert "changed=0" in run.output


def test_an_expired_certificate(platform: Platform, inventory: MakeInventory, tmp_path: Path) -> None:
    """The cluster's own authority signs an administrator's certificate that ended yesterday."""
    pki = next(path.parent for path in platform.cluster.state.rglob("ca.crt") if (path.parent / "ca.key").exists())
    key, request, certificate = tmp_path / "key", tmp_path / "csr", tmp_path / "crt"
    subprocess.run(
        [
            "openssl",
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            request,
            "-subj",
            "/O=system:masters/CN=old",
        ],
        check=True,
        capture_output=True,
    )
    sign = ["openssl", "ca", "-batch", "-notext", "-in", request, "-out", certificate, "-config", _openssl_config(tmp_path, pki)]
    subprocess.run([*sign, "-startdate", "20200101000000Z", "-enddate", "20200102000000Z"], check=True, capture_output=True)

    def expired(config: dict[str, Any]) -> None:
        user = config["users"][0]["user"]
        user["client-certificate-data"] = base64.b64encode(certificate.read_bytes()).decode()
        user["client-key-data"] = base64.b64encode(key.read_bytes()).decode()

    run = platform.play("site.yml", inventory=inventory(existing(kubeconfig_with(platform, tmp_path / "config", expired))))
    assert run.code != 0
    assert "expired" in run.output
    assert "changed=0" in run.output


def _openssl_config(folder: Path, pki: Path) -> Path:
    (folder / "index").touch()
    (folder / "serial").write_text("1000\n")
    config = folder / "openssl.cnf"
    config.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        f"certificate={pki}/ca.crt\nprivate_key={pki}/ca.key\ndefault_md=sha256\npolicy=p\nx509_extensions=x\nunique_subject=no\n"
        "[p]\norganizationName=supplied\ncommonName=supplied\n[x]\nextendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n"
    )
    return config


@pytest.fixture(scope="module")
def bare(devcluster_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cluster without definitions, for runs that fetch some; side by side with the platform's."""
    cluster = Devcluster(tmp_path_factory.mktemp("bare"), plain_cluster("aegis-local"))
    cluster.up()
    yield cluster
    cluster.run("down")


def test_without_any_source_local_uses_placeholders_and_says_so(bare: Devcluster, tmp_path: Path) -> None:
    run = run_playbook("operators.yml", state=bare.folder, environment=without_network(tmp_path / "cache")).ok()
    assert "placeholder" in run.output
    crd = bare.get("customresourcedefinition", "redisclusters.redis.redis.opstreelabs.in")
    assert crd["metadata"]["annotations"]["aegis.infra/placeholder"] == "true"
    verify = run_playbook("verify.yml", state=bare.folder, environment=without_network(tmp_path / "cache"))
    assert "placeholders, which accept anything" in verify.output


def test_without_any_source_other_providers_fail_before_the_first_change(
    bare: Devcluster, inventory: MakeInventory, tmp_path: Path
) -> None:
    environment = existing(bare.kubeconfig) | {"aegis_operators": {"install": "crds"}}
    run = run_playbook(
        "operators.yml", state=bare.folder, inventory=inventory(environment), environment=without_network(tmp_path / "cache")
    )
    assert run.code != 0
    assert "redisclusters" in run.output
    assert "AEGIS_ARTIFACT_MIRROR" in run.output
    assert "Nothing was changed" in run.output
    assert not run.touched


def test_a_corrupt_artifact_is_never_applied(bare: Devcluster, tmp_path: Path) -> None:
    release = yaml.safe_load((PROJECT / "ansible_collections/aegis/infra/releases/3.0.yml").read_text())
    component = release["components"]["redis-operator"]
    artifact = component["artifacts"][0]
    broken = tmp_path / "mirror" / "redis-operator" / component["version"] / artifact["name"]
    broken.parent.mkdir(parents=True)
    broken.write_text("kind: Nonsense\n")
    before = bare.kubectl("get", "crd", "-o", "name")
    run = run_playbook("operators.yml", state=bare.folder, environment=without_network(tmp_path / "cache", tmp_path / "mirror"))
    assert run.code != 0
    assert artifact["name"] in run.output
    assert artifact["sha256"] in run.output
    assert not run.touched
    assert bare.kubectl("get", "crd", "-o", "name") == before


@pytest.mark.skipif(not MIRROR, reason="AEGIS_ARTIFACT_MIRROR names no mirror; the registries' sources are tested instead")
def test_a_mirror_gives_every_definition_and_placeholders_are_replaced(bare: Devcluster, tmp_path: Path) -> None:
    run = run_playbook("operators.yml", state=bare.folder, environment=without_network(tmp_path / "cache", Path(MIRROR))).ok()
    assert "placeholder" not in run.output
    crds = json.loads(bare.kubectl("get", "crd", "-o", "json"))["items"]
    assert not [
        crd["metadata"]["name"] for crd in crds if "aegis.infra/placeholder" in (crd["metadata"].get("annotations") or {})
    ]
    again = run_playbook(
        "operators.yml", state=bare.folder, environment=without_network(tmp_path / "cache", tmp_path / "none")
    ).ok()
    assert again.recap["changed"] == 0, "the cache did not give what the mirror gave"


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go toolchain to ask its module proxy with")
def test_the_go_module_proxy_gives_what_it_has(devcluster_binary: Path, tmp_path: Path) -> None:
    """Offline otherwise: CloudNativePG's definitions come from its Go module, checked by the same digest."""
    environment = {"AEGIS_ARTIFACT_CACHE": str(tmp_path / "cache"), "AEGIS_ARTIFACT_MIRROR": str(tmp_path / "none")}
    run = run_playbook("operators.yml", "--check", "--tags", "cloudnative-pg", state=tmp_path, environment=environment).ok()
    assert "CustomResourceDefinition clusters.postgresql.cnpg.io" in run.touched
    assert "placeholder" not in run.output
