# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for writing manifests."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.aegis.infra.plugins.module_utils.model import schedule


def compact(value: Any) -> Any:
    """`value` less every null and empty mapping in it: what a template leaves to the server's defaults."""
    if not isinstance(value, dict):
        return value
    kept = {key: compact(entry) for key, entry in value.items()}
    return {key: entry for key, entry in kept.items() if entry is not None and entry != {}}


def cron_in_utc(expression: str, timezone: str) -> str:
    """A five-field cron expression of a time zone as the same moments in UTC."""
    try:
        return schedule.cron_in_utc(expression, timezone)
    except ValueError as error:
        raise AnsibleFilterError(f"schedule {expression!r} {error}") from error


class FilterModule:
    """Filters of the collection that concern manifests."""

    def filters(self) -> dict[str, Any]:
        return {"compact": compact, "cron_in_utc": cron_in_utc}
