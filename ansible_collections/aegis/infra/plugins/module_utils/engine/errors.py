# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between us and a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class EngineError(Exception):
    """Base of all errors of the engine; the text is meant for the user."""


class ConnectionFailed(EngineError):
    """There is no usable connection to the API server: wrong kubeconfig, context, certificate, or nobody answers."""


class PlanError(EngineError):
    """The objects given contradict each other; nothing was sent."""


@dataclass
class ApiError(EngineError):
    """An answer of the API server that is not a success.

    status: HTTP status. reason: `metav1.Status.reason`. causes: `metav1.Status.details.causes`.
    """

    status: int
    reason: str
    message: str
    causes: list[dict[str, Any]] = field(default_factory=list)
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.message} ({self.reason or 'HTTP'} {self.status})"

    @property
    def is_not_found(self) -> bool:
        return self.status == 404

    @property
    def is_field_conflict(self) -> bool:
        """Another field manager owns what we want to set."""
        return self.status == 409 and any(c.get("reason") == "FieldManagerConflict" for c in self.causes)
