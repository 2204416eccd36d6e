# SPDX-License-Identifier: GPL-3.0-or-later
"""Converge components: apply their objects in order, wait until they are ready, side by side where possible.

Removing what is no longer declared (prune) belongs after the last component, a lock against two runs at
once around the whole run; a later release adds them.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from .apply import ApplyOptions, Outcome, apply_object, read_before
from .client import Client
from .discovery import Discovery, Resource, resources_of_crd
from .errors import ApiError, EngineError, PlanError
from .objects import Object, Ref, is_cluster_scoped, ref_of, refuse_duplicates, wave_of
from .readiness import HealthRule
from .waiting import NotReady, Progress, Waiter

FIELD_MANAGER = "aegis.infra"
_DISCOVERY_PATIENCE = 60.0
_DISCOVERY_PAUSE = 0.2
# Tools in people's hands: what they changed on our objects is drift. Controllers are not among them.
PEOPLE = (
    "kubectl*",
    "k9s",
    "Lens",
    "Mozilla*",
    "node-fetch",
    "OpenAPI-Generator",
    "python-requests*",
    "python-httpx*",
    "curl*",
)


@dataclass(frozen=True)
class Component:
    """One system: its objects, what must be ready before it, and when it is ready itself.

    requires: names of components; those outside this run are taken as ready. health: by `Kind.group`.
    wait_for: objects that others create for it and that must be ready too. wait_timeout: seconds.
    """

    name: str
    objects: list[Object]
    namespace: str = ""
    requires: tuple[str, ...] = ()
    health: dict[str, HealthRule] = field(default_factory=dict)
    wait_for: tuple[Ref, ...] = ()
    wait_timeout: float = 600.0


@dataclass(frozen=True)
class Options:
    """check: change nothing, let the server judge. wait: wait for readiness. overrule: see ApplyOptions."""

    check: bool = False
    wait: bool = True
    overrule: tuple[str, ...] = PEOPLE


@dataclass
class ComponentResult:
    """What happened to a component. failures: texts for the user; blocked: what kept it from starting."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    blocked: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.failures and not self.blocked


@dataclass
class Result:
    """A whole run, with what it cost."""

    components: list[ComponentResult]
    seconds: float
    requests: int
    retries: int

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for component in self.components for outcome in component.outcomes]


async def converge(client: Client, components: list[Component], options: Options, progress: Progress) -> Result:
    """Bring every component to its declared state. Raises PlanError before anything is sent."""
    started = time.monotonic()
    run = _Run(client, components, options, progress)
    await run.plan()
    results = await run.execute()
    return Result(results, time.monotonic() - started, client.requests, client.retries)


def offline_plan(components: list[Component]) -> Result:
    """What check mode says when the cluster itself is yet to be made: everything would be created."""
    refuse_duplicates(obj for component in components for obj in component.objects)
    results = []
    for component in components:
        objects = [obj if is_cluster_scoped(obj) else _in_namespace(obj, component.namespace) for obj in component.objects]
        results.append(ComponentResult(component.name, [Outcome(ref_of(obj), "created", None, obj) for obj in objects]))
    return Result(results, 0.0, 0, 0)


def _in_namespace(obj: Object, namespace: str) -> Object:
    if obj["metadata"].get("namespace") or not namespace:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


class _Run:
    """State shared by the components of one run."""

    def __init__(self, client: Client, components: list[Component], options: Options, progress: Progress) -> None:
        self.client = client
        self.components = {component.name: component for component in components}
        self.options = options
        self.progress = progress
        self.discovery = Discovery()
        self.apply_options = ApplyOptions(FIELD_MANAGER, options.check, options.overrule)
        self.objects: dict[str, list[Object]] = {}
        self.coming: dict[tuple[str, str], Resource] = {}
        self.namespaces: set[str] = set()
        self.done: dict[str, asyncio.Future[bool]] = {}

    async def plan(self) -> None:
        """Everything that can be found wrong without sending an object."""
        _refuse_cycles(self.components)
        await self.discovery.refresh(self.client)
        declared = [obj for component in self.components.values() for obj in component.objects]
        self.namespaces = {obj["metadata"]["name"] for obj in declared if obj["kind"] == "Namespace"}
        for obj in declared:
            if obj["kind"] == "CustomResourceDefinition":
                self.coming |= {(resource.api_version, resource.kind): resource for resource in resources_of_crd(obj)}
        for component in self.components.values():
            self.objects[component.name] = [self._placed(obj, component) for obj in component.objects]
        refuse_duplicates(obj for objects in self.objects.values() for obj in objects)

    def _resource(self, obj: Object) -> Resource | None:
        key = (obj["apiVersion"], obj["kind"])
        return self.discovery.find(*key) or self.coming.get(key)

    def _placed(self, obj: Object, component: Component) -> Object:
        resource = self._resource(obj)
        if resource is None and not self.options.check:
            raise PlanError(
                f"{component.name}: the server does not serve {obj['apiVersion']} {obj['kind']} (object "
                f"{obj['metadata']['name']}), and nothing in this run defines it; converge the layer that installs it first"
            )
        if resource is not None and not resource.namespaced:
            return obj
        return _in_namespace(obj, component.namespace)

    async def execute(self) -> list[ComponentResult]:
        loop = asyncio.get_running_loop()
        self.done = {name: loop.create_future() for name in self.components}
        return list(await asyncio.gather(*(self._run_component(component) for component in self.components.values())))

    async def _run_component(self, component: Component) -> ComponentResult:
        result = ComponentResult(component.name)
        required = [name for name in component.requires if name in self.components]
        ready = [await self.done[name] for name in required]
        started = time.monotonic()
        if not all(ready):
            failed = [name for name, ok in zip(required, ready, strict=True) if not ok]
            result.blocked = f"not started: {', '.join(failed)} failed"
        else:
            try:
                await self._converge_component(component, result)
            except EngineError as error:
                result.failures.append(str(error))
        result.seconds = time.monotonic() - started
        self.done[component.name].set_result(result.ok)
        return result

    async def _converge_component(self, component: Component, result: ComponentResult) -> None:
        waves: dict[int, list[Object]] = defaultdict(list)
        for obj in self.objects[component.name]:
            waves[wave_of(obj)].append(obj)
        for number in sorted(waves):
            outcomes = await self._apply_wave(waves[number])
            result.outcomes += outcomes
            result.failures += [f"{outcome.ref}: {outcome.error}" for outcome in outcomes if outcome.error]
            if result.failures:
                return
            if number == 0 and not self.options.check:
                await self._foundations_ready(component, outcomes, result)
        if self.options.wait and not self.options.check and not result.failures:
            await self._wait(component, result.outcomes, component.wait_for, result)

    async def _apply_wave(self, objects: list[Object]) -> list[Outcome]:
        groups: dict[tuple[Resource, str], list[Object]] = defaultdict(list)
        outcomes: list[Outcome] = []
        for obj in objects:
            if note := self._cannot_ask(obj):
                outcomes.append(Outcome(ref_of(obj), "created", None, obj, note=note))
            else:
                resource = self.discovery.find(obj["apiVersion"], obj["kind"])
                assert resource is not None  # _cannot_ask and plan have seen to it
                groups[resource, obj["metadata"].get("namespace", "")].append(obj)
        for group in await asyncio.gather(*(self._apply_group(resource, group) for (resource, _), group in groups.items())):
            outcomes += group
        return outcomes

    def _cannot_ask(self, obj: Object) -> str:
        """Why a server cannot judge an object in check mode: what it rests on is not there yet."""
        if not self.options.check:
            return ""
        if self.discovery.find(obj["apiVersion"], obj["kind"]) is None:
            return "not checked by the server: its definition is not installed yet"
        return ""

    async def _apply_group(self, resource: Resource, objects: list[Object]) -> list[Outcome]:
        before = await read_before(self.client, resource, [ref_of(obj) for obj in objects])
        return list(await asyncio.gather(*(self._apply_one(resource, obj, before.get(ref_of(obj))) for obj in objects)))

    async def _apply_one(self, resource: Resource, obj: Object, before: Object | None) -> Outcome:
        try:
            outcome = await apply_object(self.client, resource, obj, before, self.apply_options)
        except ApiError as error:
            if self.options.check and error.is_not_found and before is None:
                return Outcome(
                    ref_of(obj),
                    "created",
                    None,
                    obj,
                    note="not checked by the server: its namespace does not exist yet",
                )
            return Outcome(ref_of(obj), "failed", before, None, error=str(error))
        except EngineError as error:
            return Outcome(ref_of(obj), "failed", before, None, error=str(error))
        if outcome.changed and not self.options.check:
            self.progress(_tell(outcome))
        return outcome

    async def _foundations_ready(self, component: Component, outcomes: list[Outcome], result: ComponentResult) -> None:
        """Definitions are established and namespaces active before anything in them is sent."""
        await self._wait(component, outcomes, (), result)
        defined = [outcome.live for outcome in outcomes if outcome.changed and outcome.ref.kind == "CustomResourceDefinition"]
        if defined and not result.failures:
            await self._discover([crd for crd in defined if crd])

    async def _discover(self, definitions: list[Object]) -> None:
        """Learn the kinds of new definitions. The server lists them only some time after it calls them established."""
        wanted = [resource for crd in definitions for resource in resources_of_crd(crd)]
        deadline = time.monotonic() + _DISCOVERY_PATIENCE
        while True:
            await self.discovery.refresh(self.client)
            missing = [resource for resource in wanted if self.discovery.find(resource.api_version, resource.kind) is None]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise EngineError(f"{missing[0].plural} is established, but the API server does not serve it; run again")
            await asyncio.sleep(_DISCOVERY_PAUSE)

    async def _wait(
        self, component: Component, outcomes: list[Outcome], others: tuple[Ref, ...], result: ComponentResult
    ) -> None:
        targets: dict[Ref, Object | None] = {outcome.ref: outcome.live for outcome in outcomes}
        targets |= dict.fromkeys(others)
        waiter = Waiter(self.client, self.discovery, component.health, component.wait_timeout, self.progress)
        missing: list[NotReady] = await waiter.wait(targets)
        result.failures += [str(entry) for entry in missing]


def _tell(outcome: Outcome) -> str:
    taken = f", undoing {', '.join(outcome.taken_from)}" if outcome.taken_from else ""
    return f"{outcome.action} {outcome.ref}{taken}"


def _refuse_cycles(components: dict[str, Component]) -> None:
    try:
        TopologicalSorter({name: set(component.requires) & components.keys() for name, component in components.items()}).prepare()
    except CycleError as error:
        raise PlanError(f"components require each other in a circle: {' -> '.join(error.args[1])}") from error
