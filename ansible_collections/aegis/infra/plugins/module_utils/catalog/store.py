# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact store: content-addressed files from a cache or from any source, the digest decides."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ansible_collections.aegis.infra.plugins.module_utils.catalog import release as model
from ansible_collections.aegis.infra.plugins.module_utils.catalog import sources
from ansible_collections.aegis.infra.plugins.module_utils.catalog.errors import (
    ArtifactsUnavailable,
    ArtifactUnavailable,
    Attempt,
    DigestMismatch,
    SourceUnavailable,
)
from ansible_collections.aegis.infra.plugins.module_utils.catalog.release import Artifact, Component

MIRROR_VARIABLE = "AEGIS_ARTIFACT_MIRROR"
CACHE_VARIABLE = "AEGIS_ARTIFACT_CACHE"
_WORKERS = 8


def default_cache_dir() -> Path:
    """$AEGIS_ARTIFACT_CACHE, else aegis.infra/artifacts in the user's cache folder."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "aegis.infra" / "artifacts"


class ArtifactStore:
    """Verified bytes of artifacts. Safe for threads and for several processes on one cache.

    cache_dir: None for the default. mirror: a directory or http(s) URL; None for $AEGIS_ARTIFACT_MIRROR, "" for none.
    offline_sources: kinds of sources that are not asked ("url", "go_module", "strimzi_crd_generator").
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        mirror: str | None = None,
        offline_sources: Collection[str] = (),
    ) -> None:
        unknown = set(offline_sources) - set(model.SOURCE_KINDS)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))} is none of {', '.join(model.SOURCE_KINDS)}")
        self.cache_dir = Path(cache_dir) if cache_dir is not None else default_cache_dir()
        self.mirror = os.environ.get(MIRROR_VARIABLE, "") if mirror is None else mirror
        self.offline_sources = frozenset(offline_sources)
        self.warnings: list[str] = []

    def fetch(self, component: Component, artifact: Artifact) -> bytes:
        """The artifact's bytes; their digest is the release's.

        Raises ArtifactUnavailable (no source has it) or its subclass DigestMismatch (a source has other bytes); the
        text lists every source that was tried.
        """
        cached = self._cached(artifact)
        if cached is not None:
            return cached
        attempts: list[Attempt] = []
        for source in self._sources(component, artifact, attempts):
            try:
                data = source.fetch(artifact)
            except SourceUnavailable as error:
                attempts.append(Attempt(source.label, error.reason))
                continue
            digest = hashlib.sha256(data).hexdigest()
            if digest == artifact.sha256:
                self._keep(artifact, data)
                return data
            reason = f"wrong digest: expected {artifact.sha256}, got {digest} ({len(data)} bytes)"
            attempts.append(Attempt(source.label, reason, wrong_digest=True))
        raise self._failure(component, artifact, attempts)

    def fetch_many(self, wanted: Iterable[tuple[Component, Artifact]]) -> list[bytes]:
        """The bytes of all, in the order given, fetched concurrently.

        Raises the error of the one that failed, or ArtifactsUnavailable with the errors of all that failed.
        """
        results = self.try_fetch_many(wanted)
        failures = [result for result in results if isinstance(result, ArtifactUnavailable)]
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ArtifactsUnavailable(failures)
        return [result for result in results if isinstance(result, bytes)]

    def try_fetch_many(self, wanted: Iterable[tuple[Component, Artifact]]) -> list[bytes | ArtifactUnavailable]:
        """As fetch_many, with the error in the place of what failed."""
        with ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="artifact") as pool:
            return list(pool.map(lambda pair: self._try_fetch(*pair), wanted))

    def _try_fetch(self, component: Component, artifact: Artifact) -> bytes | ArtifactUnavailable:
        try:
            return self.fetch(component, artifact)
        except ArtifactUnavailable as error:
            return error

    def _sources(self, component: Component, artifact: Artifact, attempts: list[Attempt]) -> Iterator[sources.Source]:
        """The sources to ask, in order; those that are not asked go to `attempts` with the reason."""
        if self.mirror:
            yield sources.MirrorSource(self.mirror, component)
        else:
            attempts.append(Attempt("mirror", f"{MIRROR_VARIABLE} is not set"))
        for spec in sorted(artifact.sources, key=lambda spec: model.SOURCE_KINDS.index(spec.kind)):
            source = _bind(spec, component)
            if spec.kind in self.offline_sources:
                attempts.append(Attempt(source.label, "not asked: this kind of source is switched off"))
            else:
                yield source

    def _cached(self, artifact: Artifact) -> bytes | None:
        """The cached bytes; an entry that is not what its name says is dropped."""
        path = self.cache_dir / artifact.sha256
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == artifact.sha256:
            return data
        self.warnings.append(f"the cache entry {path} was damaged and is fetched again")
        with suppress(OSError):
            path.unlink()
        return None

    def _keep(self, artifact: Artifact, data: bytes) -> None:
        """Puts verified bytes into the cache, whole or not at all. A cache that cannot be written is a warning only."""
        temporary: Path | None = None
        try:
            self.cache_dir.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.cache_dir, prefix=".partial-")
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
            temporary.replace(self.cache_dir / artifact.sha256)
        except OSError as error:
            self.warnings.append(f"{artifact.name} is not cached: {error}")
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def _failure(self, component: Component, artifact: Artifact, attempts: list[Attempt]) -> ArtifactUnavailable:
        what = f"{component.name} {component.version}: {artifact.name}"
        in_mirror = f"{component.name}/{component.version}/{artifact.name}"
        remedy = (
            f"Set {MIRROR_VARIABLE} to a directory or URL that has {in_mirror},"
            f" or put the file into the cache as {self.cache_dir / artifact.sha256}"
        )
        kind = DigestMismatch if any(attempt.wrong_digest for attempt in attempts) else ArtifactUnavailable
        return kind(what, attempts, remedy)


def _bind(spec: model.UrlSource | model.GoModuleSource | model.StrimziSource, component: Component) -> sources.Source:
    """The source that a release file describes."""
    if isinstance(spec, model.UrlSource):
        return sources.UrlSource(spec.url)
    if isinstance(spec, model.GoModuleSource):
        return sources.GoModuleSource(spec.go_module, spec.path)
    wanted = spec.strimzi_crd_generator
    classes = _strimzi_classes(component, wanted.version)
    return sources.StrimziGeneratorSource(wanted.version, wanted.java_class, classes)


def _strimzi_classes(component: Component, version: str) -> list[str]:
    """All classes of the component that the same generator makes."""
    specs = [spec for artifact in component.artifacts for spec in artifact.sources]
    wanted = [spec.strimzi_crd_generator for spec in specs if isinstance(spec, model.StrimziSource)]
    return [spec.java_class for spec in wanted if spec.version == version]
