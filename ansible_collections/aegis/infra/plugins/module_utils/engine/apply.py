# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one object to its declared state by server-side apply."""

from __future__ import annotations

import asyncio
import fnmatch
import re
import time
from dataclasses import dataclass, field
from typing import Any

from .client import APPLY_PATCH, Client
from .diff import same
from .discovery import Resource
from .errors import ApiError, EngineError
from .objects import Object, Ref, ref_of
from .settled import is_settled

# On such an object, keys of `data` that the cluster already has are kept: a password is made once.
GENERATE_ONCE = "aegis.infra/generate-once"
_DELETION_PATIENCE = 60.0


@dataclass
class Outcome:
    """What an apply did, or in check mode would do.

    action: created | changed | unchanged | failed. live: the object as the server has it afterwards.
    taken_from: field managers whose changes were undone. note: why the server could not judge it.
    """

    ref: Ref
    action: str
    before: Object | None = None
    live: Object | None = None
    taken_from: list[str] = field(default_factory=list)
    note: str = ""
    error: str = ""

    @property
    def changed(self) -> bool:
        return self.action in ("created", "changed")


@dataclass(frozen=True)
class ApplyOptions:
    """field_manager: our name on the server. dry_run: the server judges but stores nothing.

    overrule: patterns of field managers whose changes are drift (people with kubectl); what any other
    manager owns is a conflict that is reported, never overwritten.
    """

    field_manager: str
    dry_run: bool
    overrule: tuple[str, ...]


class FieldConflict(EngineError):
    """Another field manager owns a field that we declare, and may not be overruled."""


async def read_before(client: Client, resource: Resource, refs: list[Ref]) -> dict[Ref, Object]:
    """The present state of objects of one kind and namespace: one LIST for many, a GET each for few."""
    namespace = refs[0].namespace
    if len(refs) >= 5 and resource.kind != "CustomResourceDefinition":
        wanted = {ref.name: ref for ref in refs}
        items = [item async for item in list_objects(client, resource, namespace)]
        return {wanted[item["metadata"]["name"]]: item for item in items if item["metadata"]["name"] in wanted}
    found = await asyncio.gather(*(read_one(client, resource, ref) for ref in refs))
    return {ref: obj for ref, obj in zip(refs, found, strict=True) if obj is not None}


async def list_objects(client: Client, resource: Resource, namespace: str, query: dict[str, str] | None = None) -> Any:
    """Every object of a kind, page by page; items carry their apiVersion and kind."""
    query = {"limit": "500", **(query or {})}
    while True:
        page = await client.request("GET", resource.path(namespace), query=query)
        for item in page.get("items") or []:
            yield {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        token = page["metadata"].get("continue")
        if not token:
            return
        query = {**query, "continue": token}


async def read_one(client: Client, resource: Resource, ref: Ref) -> Object | None:
    """One object, or None when there is none."""
    try:
        return await client.request("GET", resource.path(ref.namespace, ref.name))
    except ApiError as error:
        if error.is_not_found:
            return None
        raise


async def apply_object(client: Client, resource: Resource, obj: Object, before: Object | None, options: ApplyOptions) -> Outcome:
    """Send one object and compare what the server has before and after.

    Raises ApiError (the server refuses it) or FieldConflict.
    """
    ref = ref_of(obj)
    if before and before["metadata"].get("deletionTimestamp") and not options.dry_run:
        await _wait_until_gone(client, resource, ref)
        before = None
    if before:
        obj = _keep_generated(obj, before)
        if is_settled(obj, before, options.field_manager):
            return Outcome(ref, "unchanged", before, before)
    taken_from: list[str] = []
    try:
        live = await _patch(client, resource, obj, options, force=False)
    except ApiError as error:
        if not error.is_field_conflict:
            raise
        taken_from = _overruled(ref, error, options.overrule)
        live = await _patch(client, resource, obj, options, force=True)
    if before is None:
        return Outcome(ref, "created", None, live)
    unchanged = same(before, live, options.field_manager)
    return Outcome(ref, "unchanged" if unchanged else "changed", before, live, taken_from)


async def _patch(client: Client, resource: Resource, obj: Object, options: ApplyOptions, *, force: bool) -> Object:
    query = {"fieldManager": options.field_manager, "fieldValidation": "Strict"}
    if options.dry_run:
        query["dryRun"] = "All"
    if force:
        query["force"] = "true"
    ref = ref_of(obj)
    return await client.request("PATCH", resource.path(ref.namespace, ref.name), query=query, body=obj, content_type=APPLY_PATCH)


def _overruled(ref: Ref, error: ApiError, overrule: tuple[str, ...]) -> list[str]:
    """The managers in the way, all of them overrulable; FieldConflict when one is not."""
    managers: list[str] = []
    for cause in error.causes:
        match = re.search(r'conflict with "([^"]+)"', cause.get("message", ""))
        manager = match.group(1) if match else cause.get("message", "")
        if not any(fnmatch.fnmatchcase(manager, pattern) for pattern in overrule):
            raise FieldConflict(
                f"{ref}: {cause.get('field', '')} belongs to the field manager {manager!r}; remove the field from our "
                "declaration, or let go of it there, or name that manager in `overrule`"
            )
        managers.append(f"{manager} ({cause.get('field', '')})")
    return managers


def _keep_generated(obj: Object, before: Object) -> Object:
    """Declare what the cluster already holds in place of freshly generated values."""
    if (obj["metadata"].get("annotations") or {}).get(GENERATE_ONCE) != "true":
        return obj
    kept = {key: (before.get("data") or {})[key] for key in obj.get("data") or {} if key in (before.get("data") or {})}
    return {**obj, "data": {**obj["data"], **kept}}


async def _wait_until_gone(client: Client, resource: Resource, ref: Ref) -> None:
    """An object that is being deleted cannot be declared anew before it is gone."""
    deadline = time.monotonic() + _DELETION_PATIENCE
    while (await read_one(client, resource, ref)) is not None:
        if time.monotonic() > deadline:
            raise EngineError(f"{ref} is being deleted and does not go away; look at its finalizers, then run again")
        await asyncio.sleep(1)
