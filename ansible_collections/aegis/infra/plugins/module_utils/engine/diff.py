# SPDX-License-Identifier: GPL-3.0-or-later
"""What really differs between two states of an object, without noise and without secrets."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import secrets
from typing import Any

import yaml

from .objects import Object

# The server writes these; nobody declares them.
_SERVER_METADATA = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
# Lets a diff show that a secret value changed, without showing anything that outlives the run.
_RUN_KEY = secrets.token_bytes(16)


def declared_part(obj: Object) -> Object:
    """An object less its status and what the server writes into its metadata."""
    part = {key: value for key, value in obj.items() if key != "status"}
    part["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_METADATA}
    return part


def owned_fields(obj: Object, manager: str) -> Any:
    """The fields that `manager` owns by server-side apply, as the server notes them."""
    for entry in obj["metadata"].get("managedFields") or []:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return entry.get("fieldsV1")
    return None


def same(before: Object, after: Object, manager: str) -> bool:
    """Whether an apply changed nothing: neither a declared value nor what `manager` owns. Status does not count."""
    return declared_part(before) == declared_part(after) and owned_fields(before, manager) == owned_fields(after, manager)


def as_text(obj: Object | None) -> str:
    """An object for a diff: YAML of its declared part, secret values hidden, schemas of definitions shortened."""
    if obj is None:
        return ""
    part = copy.deepcopy(declared_part(obj))
    if part["kind"] == "Secret":
        for field in ("data", "stringData"):
            part[field] = {key: _hidden(value) for key, value in (part.get(field) or {}).items()}
        (part["metadata"].get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if part["kind"] == "CustomResourceDefinition":
        for version in part["spec"]["versions"]:
            version["schema"] = f"(schema {_digest(version.get('schema'))})"
    return yaml.dump(part, Dumper=_ReadableDumper, sort_keys=True, allow_unicode=True)


class _ReadableDumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that a diff shows the line that differs."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_ReadableDumper.add_representer(str, _text)


def changed_paths(before: Object | None, after: Object | None) -> list[str]:
    """The places that differ, for example `spec.replicas`; values are not named."""
    if before is None or after is None:
        return []
    return sorted(_paths(declared_part(before), declared_part(after), ""))


def _paths(before: Any, after: Any, prefix: str) -> list[str]:
    if before == after:
        return []
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [prefix.lstrip(".")]
    found: list[str] = []
    for key in before.keys() | after.keys():
        label = f'{prefix}["{key}"]' if "." in key or "/" in key else f"{prefix}.{key}"
        found += _paths(before.get(key), after.get(key), label)
    return found


def _hidden(value: str) -> str:
    return f"(hidden {hmac.new(_RUN_KEY, str(value).encode(), hashlib.sha256).hexdigest()[:8]})"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
