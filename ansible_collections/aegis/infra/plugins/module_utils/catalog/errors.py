# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with releases, artifacts and manifests; every text is meant for the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CatalogError(Exception):
    """Base of all errors of the catalog."""


class ReleaseError(CatalogError):
    """A release does not exist, or its file breaks the rules; names the file, the place and what is allowed."""


class ManifestError(CatalogError):
    """A manifest is no Kubernetes YAML; names its origin, the document and the line."""


class SourceUnavailable(CatalogError):
    """A source has no answer: not there, not reachable, or its tool is missing. Says nothing against the artifact."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Attempt:
    """One source that was tried in vain. `wrong_digest`: it answered, but with other bytes."""

    source: str
    reason: str
    wrong_digest: bool = False

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class ArtifactUnavailable(CatalogError):
    """No source has the artifact. `what` names component, version and file; `remedy` says what the user can do."""

    summary = "no source has it"

    def __init__(self, what: str, attempts: Sequence[Attempt], remedy: str) -> None:
        self.what = what
        self.attempts = tuple(attempts)
        self.remedy = remedy
        tried = "".join(f"\n  - {attempt}" for attempt in self.attempts)
        super().__init__(f"{what}: {self.summary}.{tried}\n  {remedy}")

    @property
    def reason(self) -> str:
        """All attempts in one line."""
        return f"{self.what}: " + "; ".join(str(attempt) for attempt in self.attempts)


class DigestMismatch(ArtifactUnavailable):
    """A source answered with other bytes than the release pins, and no source has the right ones."""

    summary = "no source has the bytes that the release pins"


class ArtifactsUnavailable(CatalogError):
    """Several artifacts could not be had; `failures` has one error for each."""

    def __init__(self, failures: Sequence[ArtifactUnavailable]) -> None:
        self.failures = tuple(failures)
        super().__init__(f"{len(self.failures)} artifacts cannot be had:\n" + "\n".join(map(str, self.failures)))
