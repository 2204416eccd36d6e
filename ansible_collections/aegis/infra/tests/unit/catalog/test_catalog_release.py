# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of release files, and the release files themselves."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.catalog import (
    Artifact,
    ArtifactStore,
    Component,
    ReleaseError,
    known_releases,
    load_release,
    manifests,
    parse_manifests,
)
from ansible_collections.aegis.infra.plugins.module_utils.catalog.release import GoModuleSource, UrlSource
from ansible_collections.aegis.infra.plugins.module_utils.catalog.sources import MirrorSource

RELEASES = Path(__file__).parents[3] / "releases"
MIRROR = os.environ.get("AEGIS_ARTIFACT_MIRROR", "")
PINNED = [
    (component, artifact)
    for name in known_releases(RELEASES)
    for component in load_release(name, RELEASES).components.values()
    for artifact in component.artifacts
]
ARTIFACTS = [pytest.param(*pair, id=f"{pair[0].name}/{pair[1].name}") for pair in PINNED]

SMALL = f"""\
release: "1.0"
kubernetes:
  default: 1.36.3
  supported: ["1.35", "1.36"]
components:
  demo:
    version: 1.2.3
    kubernetes: any
    artifacts:
      - name: demo.yaml
        sha256: {"a" * 64}
        size: 10
        sources:
          - url: https://example.org/demo.yaml
        crds:
          - {{kind: Widget, group: example.org, plural: widgets, scope: Namespaced, versions: [v1], storage: v1}}
    upgrade_from:
      - from: ">= 0.40, < 1.0.0"
        via: 0.51.0
        reason: v1beta1 is gone
"""
A_CRD = "{kind: Widget, group: example.org, plural: widgets, scope: Namespaced, versions: [v1], storage: v1}"
AN_ARTIFACT = SMALL[SMALL.index("      - name") : SMALL.index("        crds")]


def small(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in SMALL
    (folder / "1.0.yml").write_text(SMALL.replace(old, new, 1) if old else SMALL)
    return folder


def test_small_release(tmp_path: Path) -> None:
    release = load_release("1.0", small(tmp_path))
    demo = release.component("demo")
    assert demo.artifacts[0].sources[0].kind == "url"
    assert demo.crds[0].name == "widgets.example.org"
    assert [v for v in ("0.39.0", "0.40", "v0.50.1", "0.51.0", "1.0.0") if demo.hops_from(v)] == ["0.40", "v0.50.1"]


BROKEN: list[tuple[str, str, str, str]] = [
    ("digest", "a" * 64, "abc", "1.0.yml:11: components.demo.artifacts.0.sha256: .*pattern.*given: 'abc'"),
    (
        "unknown key",
        "size: 10",
        "bytes: 10",
        "artifacts.0: unknown key bytes; allowed are crds, install, name, sha256, size",
    ),
    (
        "no source",
        "          - url: https://example.org/demo.yaml\n",
        "          []\n",
        "artifacts.0.sources: .*at least 1",
    ),
    ("unknown source", "url: https", "ftp: https", "1.0.yml:14: .*sources.0: .* keys url, go_module, strimzi_crd"),
    ("no URL", "url: https:", "url: file:", "1.0.yml:14: .*sources.0.url: .*pattern"),
    (
        "module path",
        "url: https://example.org/demo.yaml",
        "{go_module: a.b/c@v1, path: ../x}",
        "path leaves the module",
    ),
    ("file name", "name: demo.yaml", "name: ../demo.yaml", "artifacts.0.name: .*pattern"),
    ("file twice", AN_ARTIFACT, AN_ARTIFACT * 2, "components.demo: artifact listed twice: demo.yaml"),
    ("CRD twice", f"- {A_CRD}", f"- {A_CRD}\n          - {A_CRD}", "CRD listed twice: widgets.example.org"),
    ("storage", "storage: v1}", "storage: v2}", "storage v2 is none of versions v1"),
    ("scope", "scope: Namespaced", "scope: namespaced", "scope: .*'Namespaced' or 'Cluster'.*given: 'namespaced'"),
    ("Kubernetes", "default: 1.36.3", "default: 1.28.0", "kubernetes: default 1.28.0 is not in supported"),
    ("a number", 'release: "1.0"', "release: 1.0", "1.0.yml:1: release: .*string.*given: 1.0"),
    ("other name", 'release: "1.0"', 'release: "1.1"', "the file's name says 1.0, its content 1.1"),
    ("key twice", "size: 10", "size: 10\n        size: 11", "duplicate key 'size'"),
    ("hop", '">= 0.40, < 1.0.0"', "0.x", "upgrade_from.0.from: comparisons are"),
]


@pytest.mark.parametrize(("old", "new", "message"), [pytest.param(*rest, id=name) for name, *rest in BROKEN])
def test_broken_release(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message) as caught:
        load_release("1.0", small(tmp_path, old, new))
    assert str(tmp_path / "1.0.yml") in str(caught.value)


@pytest.mark.parametrize("name", ["2.0", "../1.0", ""])
def test_unknown_release_lists_those_there_are(tmp_path: Path, name: str) -> None:
    small(tmp_path)
    (tmp_path / "releases").mkdir()
    with pytest.raises(ReleaseError, match=r"there is 1\.0"):
        load_release(name, small(tmp_path / "releases"))


def test_supported_kubernetes() -> None:
    release = load_release("3.0", RELEASES)
    assert release.supports_kubernetes(release.kubernetes.default)
    for version in ("1.34", "v1.35.2", "1.36.1-eks-1a2b3c", "1.36+", "v1.34.9+k3s1"):
        assert release.supports_kubernetes(version), version
    for version in ("1.33.9", "1.37", "1.3", "2.36"):
        assert not release.supports_kubernetes(version), version
    with pytest.raises(ValueError, match="not a Kubernetes version"):
        release.supports_kubernetes("latest")


def test_strimzi_hop_of_3_0() -> None:
    strimzi = load_release("3.0", RELEASES).component("strimzi-kafka-operator")
    assert [hop.via for hop in strimzi.hops_from("0.39.0")] == ["0.51.0"]
    assert strimzi.hops_from("0.51.0") == ()


@pytest.mark.parametrize(("component", "artifact"), ARTIFACTS)
def test_artifact_can_be_had_from_upstream(component: Component, artifact: Artifact) -> None:
    """The model demands digest, a source and unique names; releases also state the size and name tags over https."""
    assert artifact.size
    assert artifact.crds
    urls = [source.url for source in artifact.sources if isinstance(source, UrlSource)]
    modules = [source.go_module for source in artifact.sources if isinstance(source, GoModuleSource)]
    assert urls
    assert all(re.match(rf"https://.*/v?{re.escape(component.version)}/", url) for url in urls)
    assert all(module.endswith(f"@v{component.version}") for module in modules)


@pytest.mark.skipif(not MIRROR, reason="AEGIS_ARTIFACT_MIRROR is not set")
@pytest.mark.parametrize(("component", "artifact"), ARTIFACTS)
def test_artifact_is_what_the_release_says(component: Component, artifact: Artifact) -> None:
    """Digest, size, and every CRD in the file with kind, group, plural, scope, versions and storage version."""
    data = MirrorSource(MIRROR, component).fetch(artifact)
    assert hashlib.sha256(data).hexdigest() == artifact.sha256
    assert len(data) == artifact.size
    found = set()
    for document in parse_manifests(data, artifact.name):
        if document["kind"] == "CustomResourceDefinition":
            spec = document["spec"]
            served = tuple(version["name"] for version in spec["versions"] if version["served"])
            (storage,) = (version["name"] for version in spec["versions"] if version["storage"])
            names = spec["names"]
            found.add((names["kind"], spec["group"], names["plural"], spec["scope"], served, storage))
    assert {(c.kind, c.group, c.plural, c.scope, c.versions, c.storage) for c in artifact.crds} == found


@pytest.mark.skipif(not MIRROR or manifests.C_LOADER is None, reason="AEGIS_ARTIFACT_MIRROR is not set, or no libyaml")
@pytest.mark.parametrize(("component", "artifact"), ARTIFACTS)
def test_both_loaders_read_the_same(component: Component, artifact: Artifact) -> None:
    data = MirrorSource(MIRROR, component).fetch(artifact)
    in_python = parse_manifests(data, artifact.name, manifests.PYTHON_LOADER)
    assert in_python == parse_manifests(data, artifact.name, manifests.C_LOADER or manifests.LOADER)


def test_digests_are_unique() -> None:
    digests = [artifact.sha256 for _component, artifact in PINNED]
    assert len(digests) == len(set(digests))


def test_charts_are_artifacts_too(tmp_path: Path) -> None:
    strimzi = load_release("3.0", RELEASES).component("strimzi-kafka-operator")
    assert strimzi.chart
    package = tmp_path / "strimzi-kafka-operator" / "1.2.0" / "strimzi-kafka-operator-1.2.0.tgz"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"chart")
    chart = strimzi.chart.model_copy(update={"sha256": hashlib.sha256(b"chart").hexdigest()})
    assert ArtifactStore(tmp_path / "cache", mirror=str(tmp_path)).fetch(strimzi, chart.artifact) == b"chart"
