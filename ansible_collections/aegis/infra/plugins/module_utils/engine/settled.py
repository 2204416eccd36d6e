# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether applying an object would change nothing, told from its live state alone.

Saves the request for an object that nobody touched. It may only err on the side of asking the server:
every doubt (a value the server normalised, a later writer) means that the object is sent.
"""

from __future__ import annotations

import json
from typing import Any

from .objects import Object


def is_settled(desired: Object, live: Object, manager: str) -> bool:
    """True when every declared value is there, we own nothing that is no longer declared, and nobody wrote after us."""
    ours = _entry_of(live, manager)
    if ours is None or _others_wrote_since(live, ours):
        return False
    return _contains(live, desired) and _declares(desired, ours.get("fieldsV1") or {})


def _entry_of(live: Object, manager: str) -> dict[str, Any] | None:
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return entry
    return None


def _others_wrote_since(live: Object, ours: dict[str, Any]) -> bool:
    """Whether another manager wrote in or after the second of our last apply; the status does not count."""
    return any(
        entry is not ours and entry.get("subresource") != "status" and entry.get("time", "9") >= ours.get("time", "")
        for entry in live["metadata"]["managedFields"]
    )


def _contains(live: Any, desired: Any) -> bool:
    """Whether `live` has every value of `desired`; the server may have added defaults, also inside list elements."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(key in live and _contains(live[key], value) for key, value in desired.items())
    if isinstance(desired, list):
        return isinstance(live, list) and len(live) == len(desired) and all(map(_contains, live, desired))
    return type(live) is type(desired) and live == desired


def _declares(desired: Any, owned: dict[str, Any]) -> bool:
    """Whether every field of `owned` (the server's FieldsV1) is declared.

    Keys: `f:name` a field, `k:{...}` the list element with these keys, `v:...` the list element of this value,
    `.` the thing itself (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
    """
    for key, below in owned.items():
        if key == ".":
            continue
        found, value = _field(desired, key)
        if not found or not _declares(value, below):
            return False
    return True


def _field(desired: Any, key: str) -> tuple[bool, Any]:
    kind, _, name = key.partition(":")
    if kind == "f" and isinstance(desired, dict):
        return name in desired, desired.get(name)
    if kind in ("k", "v") and isinstance(desired, list):
        wanted = json.loads(name)
        for element in desired:
            if element == wanted if kind == "v" else _has_keys(element, wanted):
                return True, element
    return False, None


def _has_keys(element: Any, keys: dict[str, Any]) -> bool:
    """Whether a list element is the one with these keys; a key it leaves out was defaulted by the server."""
    return isinstance(element, dict) and all(element.get(key, value) == value for key, value in keys.items())
