# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait by watching until objects are ready, one of them fails, or time is up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from .client import Client
from .discovery import Discovery, Resource
from .errors import ApiError, ConnectionFailed, EngineError
from .evidence import failing_pods, gather_evidence
from .objects import Object, Ref, ref_of
from .readiness import HealthRule, Verdict, assess

Progress = Callable[[str], None]
MISSING = Verdict("waiting", "does not exist yet")
_PROGRESS_EVERY = 5.0
_WATCH_SECONDS = 300.0
_RECONNECT_PAUSE = 1.0


@dataclass(frozen=True)
class NotReady:
    """An object that did not become ready: why, and what the cluster says about it."""

    ref: Ref
    reason: str
    evidence: list[str]

    def __str__(self) -> str:
        return "\n".join([f"{self.ref}: {self.reason}", *(f"    {line}" for line in self.evidence)])


@dataclass
class _Target:
    """One object waited for."""

    ref: Ref
    live: Object | None
    verdict: Verdict = MISSING
    failing_since: float | None = None
    told: str = ""


@dataclass
class Waiter:
    """Waits for objects of one component.

    rules: by `Kind.group`. timeout: seconds for all of them together. progress: takes a line for the user.
    """

    client: Client
    discovery: Discovery
    rules: dict[str, HealthRule]
    timeout: float
    progress: Progress
    _targets: dict[Ref, _Target] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, targets: dict[Ref, Object | None]) -> list[NotReady]:
        """Wait for all of `targets` (with the state last seen of each). Returns what did not become ready."""
        self._targets = {ref: _Target(ref, live) for ref, live in targets.items()}
        for target in self._targets.values():
            self._judge(target)
        pending = self._pending()
        if not pending:
            return []
        groups: dict[tuple[Resource, str], list[Ref]] = defaultdict(list)
        for target in pending:
            resource = self.discovery.of(target.ref)
            if resource is None:
                return [NotReady(target.ref, f"the server does not serve {target.ref.api_version} {target.ref.kind}", [])]
            groups[resource, target.ref.namespace].append(target.ref)
        watches = [asyncio.create_task(self._follow(resource, namespace, refs)) for (resource, namespace), refs in groups.items()]
        try:
            return await self._until_settled(watches)
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    def _pending(self) -> list[_Target]:
        return [target for target in self._targets.values() if target.verdict.state != "ready"]

    def _judge(self, target: _Target) -> None:
        if target.live is None:
            target.verdict = MISSING
            return
        resource = self.discovery.of(target.ref)
        target.verdict = assess(target.live, self.rules, bool(resource and resource.has_status))
        if target.verdict.state != "failed":
            target.failing_since = None
        elif target.failing_since is None:
            target.failing_since = time.monotonic()

    async def _until_settled(self, watches: list[asyncio.Task[None]]) -> list[NotReady]:
        started = time.monotonic()
        next_progress = started + _PROGRESS_EVERY
        while pending := self._pending():
            now = time.monotonic()
            for watch in watches:
                if watch.done():
                    watch.result()  # a watch only ends by an error that retrying does not mend
            failed = [target for target in pending if self._beyond_grace(target, now)]
            if now >= next_progress:
                self._tell(pending, now - started)
                failed = failed or await self._stuck_in_pods(pending)
                next_progress = now + _PROGRESS_EVERY
            if failed:
                return [await self._report(target, target.verdict.reason) for target in failed]
            if now - started > self.timeout:
                reason = f"not ready after {self.timeout:.0f} s"
                return [await self._report(target, f"{reason}: {target.verdict.reason}") for target in pending]
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout=0.5)
        return []

    def _beyond_grace(self, target: _Target, now: float) -> bool:
        rule = self.rules.get(target.ref.group_kind)
        return target.failing_since is not None and now - target.failing_since >= (rule.grace if rule else 0.0)

    def _tell(self, pending: list[_Target], seconds: float) -> None:
        for target in pending:
            text = f"{target.ref}: {target.verdict.reason}"
            self.progress(f"waiting {seconds:3.0f} s for {text}")

    async def _stuck_in_pods(self, pending: list[_Target]) -> list[_Target]:
        """Workloads whose pods fail for a reason that does not go away, seen twice in a row."""
        stuck = []
        for target in pending:
            with contextlib.suppress(EngineError):
                pods = await failing_pods(self.client, target.live) if target.live else []
                told = "; ".join(f"{pod['metadata']['name']}: {reason}" for pod, reason in pods)
                if told and target.told:
                    target.verdict = Verdict("failed", told)
                    stuck.append(target)
                target.told = told
        return stuck

    async def _report(self, target: _Target, reason: str) -> NotReady:
        evidence = await gather_evidence(self.client, target.live) if target.live else []
        return NotReady(target.ref, reason, evidence)

    async def _follow(self, resource: Resource, namespace: str, refs: list[Ref]) -> None:
        """List, then watch from there; list again whenever the watch is too old or the server went away."""
        query = {"fieldSelector": f"metadata.name={refs[0].name}"} if len(refs) == 1 else {}
        while True:
            try:
                version = await self._list(resource, namespace, refs, query)
                async for event in self.client.watch(
                    resource.path(namespace), {**query, "resourceVersion": version}, _WATCH_SECONDS
                ):
                    self._take(resource, event)
            except ApiError as error:
                if error.status in (401, 403, 404):
                    raise
                await asyncio.sleep(_RECONNECT_PAUSE)
            except ConnectionFailed:
                await asyncio.sleep(_RECONNECT_PAUSE)

    async def _list(self, resource: Resource, namespace: str, refs: list[Ref], query: dict[str, str]) -> str:
        page = await self.client.request("GET", resource.path(namespace), query={**query, "resourceVersion": "0"})
        found = {item["metadata"]["name"]: item for item in page.get("items") or []}
        for ref in refs:
            target = self._targets[ref]
            item = found.get(ref.name)
            target.live = {"apiVersion": resource.api_version, "kind": resource.kind, **item} if item else None
            self._judge(target)
        self._news.set()
        return page["metadata"]["resourceVersion"]

    def _take(self, resource: Resource, event: dict) -> None:
        if event["type"] == "BOOKMARK":
            return
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, **event["object"]}
        target = self._targets.get(ref_of(obj))
        if target is not None:
            target.live = None if event["type"] == "DELETED" else obj
            self._judge(target)
            self._news.set()
