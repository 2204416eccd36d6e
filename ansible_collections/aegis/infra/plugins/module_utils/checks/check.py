# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer to one question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """group: what it belongs to. name: what was asked. evidence: what was seen, for a person."""

    group: str
    name: str
    status: Literal["pass", "fail", "skip"]
    evidence: str

    @property
    def failed(self) -> bool:
        return self.status == "fail"


def verdict(group: str, name: str, problems: list[str], seen: str) -> Check:
    """A failure when there are problems, else a pass with what was seen."""
    return Check(group, name, "fail" if problems else "pass", "; ".join(problems) or seen)
