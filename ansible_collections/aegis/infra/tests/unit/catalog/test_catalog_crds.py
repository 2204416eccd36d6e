# SPDX-License-Identifier: GPL-3.0-or-later
"""CRDs of a component: upstream's, placeholders, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.aegis.infra.plugins.module_utils.catalog import (
    ArtifactStore,
    ArtifactUnavailable,
    CatalogError,
    Component,
    CrdKind,
    DigestMismatch,
    Release,
    ReleaseError,
    component_crds,
    component_manifests,
    placeholder_crd,
)
from ansible_collections.aegis.infra.tests.unit.catalog.upstream import Server, sha256

WIDGET = {
    "kind": "Widget",
    "group": "example.org",
    "plural": "widgets",
    "scope": "Namespaced",
    "versions": ["v1", "v1beta1"],
    "storage": "v1",
}
GADGET = {**WIDGET, "kind": "Gadget", "plural": "gadgets"}


def upstream(*plurals: str) -> dict[str, Any]:
    crds = [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{p}.example.org"},
        }
        for p in plurals
    ]
    return {"apiVersion": "v1", "kind": "List", "items": [*crds, *others()]}


def others() -> list[dict[str, Any]]:
    """What a manifest has beside CRDs; one object is named like a CRD."""
    names = {"Namespace": "operator", "ConfigMap": "widgets.example.org"}
    return [{"apiVersion": "v1", "kind": kind, "metadata": {"name": name}} for kind, name in names.items()]


def release(files: dict[str, tuple[bytes, str, list[dict[str, Any]]]]) -> Release:
    """A release whose component "demo" has the files: name → (content, URL, CRDs)."""
    artifacts = [
        {"name": name, "sha256": sha256(content), "sources": [{"url": url}], "crds": crds, "install": True}
        for name, (content, url, crds) in files.items()
    ]
    demo = {"version": "1.2.3", "kubernetes": "any", "artifacts": artifacts}
    kubernetes = {"default": "1.36.3", "supported": ["1.36"]}
    return Release.model_validate({"release": "9.9", "kubernetes": kubernetes, "components": {"demo": demo}})


def dump(data: Any) -> bytes:
    return yaml.safe_dump(data).encode()


def test_upstream_crds_only_and_the_rest_apart(server: Server, tmp_path: Path) -> None:
    content = dump(upstream("gadgets", "widgets"))
    server.files = {"/all.yaml": content}
    demo = release({"all.yaml": (content, f"{server.url}/all.yaml", [WIDGET, GADGET])})
    store = ArtifactStore(tmp_path)
    crds = component_crds(demo, "demo", store, allow_placeholders=False)
    assert [o["metadata"]["name"] for o in crds.objects] == ["widgets.example.org", "gadgets.example.org"]
    assert (crds.origin, crds.placeholders, crds.reasons) == ("upstream", (), ())
    assert {o["kind"] for o in crds.objects} == {"CustomResourceDefinition"}
    assert component_manifests(demo, "demo", store) == others()


def test_placeholders_where_allowed_and_the_file_is_unavailable(server: Server, tmp_path: Path) -> None:
    here, gone = dump(upstream("widgets")), b"gone"
    server.files = {"/here.yaml": here}
    demo = release(
        {
            "here.yaml": (here, f"{server.url}/here.yaml", [WIDGET]),
            "gone.yaml": (gone, f"{server.url}/gone.yaml", [GADGET]),
        }
    )
    store = ArtifactStore(tmp_path)
    with pytest.raises(ArtifactUnavailable, match=r"gone\.yaml"):
        component_crds(demo, "demo", store, allow_placeholders=False)
    crds = component_crds(demo, "demo", store, allow_placeholders=True)
    assert crds.origin == "mixed"
    assert crds.placeholders == ("gadgets.example.org",)
    assert [o["metadata"].get("annotations", {}).get("aegis.infra/placeholder") for o in crds.objects] == [None, "true"]
    assert len(crds.reasons) == 1
    assert "gone.yaml" in crds.reasons[0]
    assert "HTTP 404" in crds.reasons[0]


def test_a_wrong_digest_is_never_replaced_by_a_placeholder(server: Server, tmp_path: Path) -> None:
    server.files = {"/all.yaml": b"tampered"}
    demo = release({"all.yaml": (dump(upstream("widgets")), f"{server.url}/all.yaml", [WIDGET])})
    with pytest.raises(DigestMismatch):
        component_crds(demo, "demo", ArtifactStore(tmp_path), allow_placeholders=True)


def test_a_crd_that_is_listed_but_not_in_the_file(server: Server, tmp_path: Path) -> None:
    content = dump(upstream("widgets"))
    server.files = {"/all.yaml": content}
    demo = release({"all.yaml": (content, f"{server.url}/all.yaml", [WIDGET, GADGET])})
    with pytest.raises(CatalogError, match=r"has no CRD gadgets\.example\.org"):
        component_crds(demo, "demo", ArtifactStore(tmp_path), allow_placeholders=True)


def test_unknown_component(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no component 'kafka'; it has demo"):
        component_crds(release({}), "kafka", ArtifactStore(tmp_path), allow_placeholders=True)


def test_all_placeholders(component: Callable[..., Component], tmp_path: Path) -> None:
    demo = release({"gone.yaml": (b"gone", "http://127.0.0.1:1/x", [WIDGET, GADGET])})
    crds = component_crds(demo, "demo", ArtifactStore(tmp_path), allow_placeholders=True)
    assert crds.origin == "placeholder"
    assert len(crds.objects) == 2


def test_placeholder_is_a_sane_crd() -> None:
    """What the API server demands of a CustomResourceDefinition."""
    crd = placeholder_crd(CrdKind.model_validate(WIDGET), "demo", "1.2.3")
    spec = crd["spec"]
    assert crd["apiVersion"] == "apiextensions.k8s.io/v1"
    assert crd["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}" == "widgets.example.org"
    assert crd["metadata"]["annotations"]["aegis.infra/placeholder"] == "true"
    assert spec["names"] == {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"}
    assert spec["scope"] == "Namespaced"
    assert [(v["name"], v["served"], v["storage"]) for v in spec["versions"]] == [
        ("v1", True, True),
        ("v1beta1", True, False),
    ]
    for version in spec["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        assert schema == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        assert version["subresources"] == {"status": {}}


def test_placeholder_of_a_protected_group_says_it_is_unapproved() -> None:
    """The API server refuses CRDs of *.k8s.io without this annotation."""
    kind = CrdKind.model_validate({**WIDGET, "group": "gateway.networking.k8s.io"})
    annotation = placeholder_crd(kind, "demo", "1.2.3")["metadata"]["annotations"]["api-approved.kubernetes.io"]
    assert annotation.startswith("unapproved")
