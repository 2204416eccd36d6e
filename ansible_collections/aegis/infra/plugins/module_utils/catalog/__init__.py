# SPDX-License-Identifier: GPL-3.0-or-later
"""The release catalog: what a release pins, where its artifacts come from, the objects inside them."""

from __future__ import annotations

from ansible_collections.aegis.infra.plugins.module_utils.catalog.crds import (
    PLACEHOLDER_ANNOTATION,
    CrdSet,
    component_crds,
    component_manifests,
    placeholder_crd,
)
from ansible_collections.aegis.infra.plugins.module_utils.catalog.errors import (
    ArtifactsUnavailable,
    ArtifactUnavailable,
    Attempt,
    CatalogError,
    DigestMismatch,
    ManifestError,
    ReleaseError,
    SourceUnavailable,
)
from ansible_collections.aegis.infra.plugins.module_utils.catalog.manifests import parse_manifests
from ansible_collections.aegis.infra.plugins.module_utils.catalog.release import (
    Artifact,
    Chart,
    Component,
    CrdKind,
    Release,
    UpgradeHop,
    known_releases,
    load_release,
)
from ansible_collections.aegis.infra.plugins.module_utils.catalog.store import ArtifactStore, default_cache_dir

__all__ = [
    "PLACEHOLDER_ANNOTATION",
    "Artifact",
    "ArtifactStore",
    "ArtifactUnavailable",
    "ArtifactsUnavailable",
    "Attempt",
    "CatalogError",
    "Chart",
    "Component",
    "CrdKind",
    "CrdSet",
    "DigestMismatch",
    "ManifestError",
    "Release",
    "ReleaseError",
    "SourceUnavailable",
    "UpgradeHop",
    "component_crds",
    "component_manifests",
    "default_cache_dir",
    "known_releases",
    "load_release",
    "parse_manifests",
    "placeholder_crd",
]
