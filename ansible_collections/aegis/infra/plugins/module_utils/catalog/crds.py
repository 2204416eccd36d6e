# SPDX-License-Identifier: GPL-3.0-or-later
"""The CustomResourceDefinitions of a component: upstream's, or placeholders where that is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.aegis.infra.plugins.module_utils.catalog.errors import (
    ArtifactsUnavailable,
    ArtifactUnavailable,
    CatalogError,
    DigestMismatch,
)
from ansible_collections.aegis.infra.plugins.module_utils.catalog.manifests import parse_manifests
from ansible_collections.aegis.infra.plugins.module_utils.catalog.release import Artifact, Component, CrdKind, Release
from ansible_collections.aegis.infra.plugins.module_utils.catalog.store import ArtifactStore

PLACEHOLDER_ANNOTATION = "aegis.infra/placeholder"


@dataclass(frozen=True)
class CrdSet:
    """The CRDs of a component.

    objects: CustomResourceDefinitions. placeholders: the kinds (`plural.group`) that are ours, not upstream's.
    reasons: for each file that could not be had, every source that was tried and why it failed.
    """

    objects: tuple[dict[str, Any], ...]
    placeholders: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def origin(self) -> Literal["upstream", "placeholder", "mixed"]:
        """Whose CRDs these are."""
        if not self.placeholders:
            return "upstream"
        return "placeholder" if len(self.placeholders) == len(self.objects) else "mixed"


def component_crds(release: Release, component_name: str, store: ArtifactStore, allow_placeholders: bool) -> CrdSet:
    """The CRDs of one component, in the release file's order; no other objects of its manifests.

    allow_placeholders: make a placeholder of each CRD whose file no source has. Never for a wrong digest.
    Raises ReleaseError (no such component), ArtifactUnavailable, DigestMismatch, ArtifactsUnavailable, ManifestError.
    """
    component = release.component(component_name)
    artifacts = [artifact for artifact in component.artifacts if artifact.crds]
    results = store.try_fetch_many((component, artifact) for artifact in artifacts)
    failures = [result for result in results if isinstance(result, ArtifactUnavailable)]
    _raise_unless_forgivable(failures, allow_placeholders)
    objects: list[dict[str, Any]] = []
    placeholders: list[str] = []
    for artifact, result in zip(artifacts, results, strict=True):
        if isinstance(result, bytes):
            objects += _upstream_crds(component, artifact, result)
        else:
            objects += [placeholder_crd(crd, component.name, component.version) for crd in artifact.crds]
            placeholders += [crd.name for crd in artifact.crds]
    return CrdSet(tuple(objects), tuple(placeholders), tuple(failure.reason for failure in failures))


def component_manifests(release: Release, component_name: str, store: ArtifactStore) -> list[dict[str, Any]]:
    """The objects beside the CRDs of the artifacts marked `install: true`: what installs the operator.

    Raises ReleaseError, ArtifactUnavailable, DigestMismatch, ArtifactsUnavailable, ManifestError.
    """
    component = release.component(component_name)
    artifacts = [artifact for artifact in component.artifacts if artifact.install]
    files = store.fetch_many((component, artifact) for artifact in artifacts)
    return [
        document
        for artifact, data in zip(artifacts, files, strict=True)
        for document in parse_manifests(data, _origin(component, artifact))
        if not _is_crd(document)
    ]


def placeholder_crd(kind: CrdKind, component: str, version: str) -> dict[str, Any]:
    """A CRD with the right names and versions whose schema accepts anything; marked by an annotation."""
    annotations = {PLACEHOLDER_ANNOTATION: "true", "aegis.infra/placeholder-for": f"{component} {version}"}
    if kind.group.endswith((".k8s.io", ".kubernetes.io")):
        # The API server refuses CRDs of these groups without a word on their approval.
        annotations["api-approved.kubernetes.io"] = "unapproved, placeholder"
    names = {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.kind.lower()}
    versions = [_open_version(name, name == kind.storage) for name in kind.versions]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.name, "annotations": annotations},
        "spec": {"group": kind.group, "names": names, "scope": kind.scope, "versions": versions},
    }


def _open_version(name: str, storage: bool) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }


def _raise_unless_forgivable(failures: list[ArtifactUnavailable], allow_placeholders: bool) -> None:
    fatal = [failure for failure in failures if not allow_placeholders or isinstance(failure, DigestMismatch)]
    if len(fatal) == 1:
        raise fatal[0]
    if fatal:
        raise ArtifactsUnavailable(fatal)


def _upstream_crds(component: Component, artifact: Artifact, data: bytes) -> list[dict[str, Any]]:
    """The CRDs that the release lists for the file, in its order. CatalogError: one is not in the file."""
    origin = _origin(component, artifact)
    found = {document["metadata"]["name"]: document for document in parse_manifests(data, origin) if _is_crd(document)}
    missing = [crd.name for crd in artifact.crds if crd.name not in found]
    if missing:
        raise CatalogError(f"{origin} has no CRD {', '.join(missing)}, though the release lists it; it has {', '.join(found)}")
    return [found[crd.name] for crd in artifact.crds]


def _is_crd(document: dict[str, Any]) -> bool:
    return bool(document["kind"] == "CustomResourceDefinition")


def _origin(component: Component, artifact: Artifact) -> str:
    return f"{component.name}/{component.version}/{artifact.name}"
