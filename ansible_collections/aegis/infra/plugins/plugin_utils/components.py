# SPDX-License-Identifier: GPL-3.0-or-later
"""From a role's component entries to the engine's components: definitions, templates, charts, health."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail

from ansible_collections.aegis.infra.plugins.module_utils.catalog import (
    ArtifactStore,
    CatalogError,
    CrdSet,
    Release,
    component_crds,
    parse_manifests,
)
from ansible_collections.aegis.infra.plugins.module_utils.engine.converge import Component
from ansible_collections.aegis.infra.plugins.module_utils.engine.objects import Ref
from ansible_collections.aegis.infra.plugins.module_utils.engine.readiness import HealthRule
from ansible_collections.aegis.infra.plugins.module_utils.model.cluster import Provider
from ansible_collections.aegis.infra.plugins.module_utils.model.environment import Environment

from .platform import plain, render_file, render_folder, standard_labels, with_labels

Entry = dict[str, Any]
# Runs kubernetes.core.helm_template with these arguments and returns the module's result.
HelmTemplate = Callable[[dict[str, Any]], dict[str, Any]]
_KEYS = frozenset({
    "name", "namespace", "settings", "release", "definitions", "chart", "requires", "wait_for", "health", "wait_timeout",
})  # fmt: skip


class ComponentFactory:
    """Builds the components of one layer for one environment and release.

    role_path: the layer's role; templates lie in its templates/<component>/. helm_template: see HelmTemplate.
    """

    def __init__(
        self, environment: Environment, release: Release, role_path: str, templar: Any, helm_template: HelmTemplate
    ) -> None:
        self.environment = environment
        self.release = release
        self.templates = Path(role_path) / "templates"
        self.templar = templar
        self.helm_template = helm_template
        self.store = ArtifactStore()
        self.definitions: dict[str, CrdSet] = {}

    def enabled(self, entries: list[Entry]) -> list[Entry]:
        """Entries whose system is not switched off. Raises AnsibleActionFail for a key that means nothing."""
        entries = plain(entries)
        for entry in entries:
            unknown = sorted(entry.keys() - _KEYS)
            if unknown or "name" not in entry:
                raise AnsibleActionFail(
                    f"component {entry.get('name', '(no name)')}: unknown {unknown}; known: {', '.join(sorted(_KEYS))}"
                )
        return [entry for entry in entries if self._settings(entry).get("enabled", True)]

    def build(self, entries: list[Entry]) -> list[Component]:
        """The components; every artifact is fetched and every template rendered before the first is returned."""
        try:
            self._fetch_definitions(entries)
            return [self._component(entry) for entry in entries]
        except CatalogError as error:
            raise AnsibleActionFail(f"{error}\nNothing was changed.") from error

    def _settings(self, entry: Entry) -> dict[str, Any]:
        return self.environment.sections()[entry["settings"]] if "settings" in entry else {}

    def _fetch_definitions(self, entries: list[Entry]) -> None:
        local = self.environment.cluster.provider is Provider.LOCAL
        for entry in entries:
            if entry.get("definitions"):
                self.definitions[entry["name"]] = component_crds(
                    self.release, entry["release"], self.store, allow_placeholders=local
                )

    def _component(self, entry: Entry) -> Component:
        settings = self._settings(entry)
        namespace = settings.get("namespace") or entry.get("namespace", "")
        variables = self._variables(entry)
        folder = self.templates / entry["name"]
        objects = render_folder(folder, self.templar, variables)
        if entry.get("chart") and self.environment.operators.install == "full":
            objects += self._render_chart(entry, namespace, folder, variables)
        labels = standard_labels(entry["name"], self.environment)
        definitions = self.definitions.get(entry["name"])
        return Component(
            name=entry["name"],
            objects=[with_labels(obj, labels) for obj in [*(definitions.objects if definitions else []), *objects]],
            namespace=namespace,
            requires=tuple(entry.get("requires", ())),
            health={kind: _health_rule(kind, rule) for kind, rule in entry.get("health", {}).items()},
            wait_for=tuple(Ref(ref["apiVersion"], ref["kind"], namespace, ref["name"]) for ref in entry.get("wait_for", ())),
            wait_timeout=float(settings.get("wait_timeout") or entry.get("wait_timeout", 300)),
        )

    def _variables(self, entry: Entry) -> dict[str, Any]:
        """What a template sees: every section of the model, `labels`, and the component's part of the release."""
        release = self.release.components[entry["release"]].model_dump(mode="json") if "release" in entry else {}
        return {
            **self.environment.sections(),
            "labels": standard_labels(entry["name"], self.environment),
            "release": release,
        }

    def _render_chart(self, entry: Entry, namespace: str, folder: Path, variables: dict[str, Any]) -> list[dict[str, Any]]:
        """The objects of the component's Helm chart, less its definitions: those come from the release's artifacts."""
        chart = self.release.components[entry["release"]].chart
        if chart is None:
            raise AnsibleActionFail(f"release {self.release.release}: component {entry['release']} has no chart")
        values_file = folder / "values.yml.j2"
        values = yaml.safe_load(render_file(values_file, self.templar, variables)) if values_file.exists() else {}
        with tempfile.NamedTemporaryFile(suffix=".tgz") as archive:
            archive.write(self.store.fetch(self.release.component(entry["release"]), chart.artifact))
            archive.flush()
            rendered = self.helm_template(
                {
                    "chart_ref": archive.name,
                    "release_name": entry["chart"],
                    "release_namespace": namespace,
                    "include_crds": False,
                    "release_values": values,
                }
            )
        if rendered.get("failed"):
            raise AnsibleActionFail(
                f"chart {chart.name} {chart.version} cannot be rendered (is helm on the PATH?): {rendered.get('msg')}"
            )
        objects = parse_manifests(rendered["stdout"], f"chart {chart.name} {chart.version}")
        return [obj for obj in objects if obj["kind"] != "CustomResourceDefinition"]


def _health_rule(kind: str, rule: dict[str, Any]) -> HealthRule:
    unknown = sorted(rule.keys() - {"ready", "failed", "message", "grace"})
    if unknown:
        raise AnsibleActionFail(f"health of {kind}: unknown {unknown}; known: ready, failed, message, grace")
    return HealthRule(
        tuple(rule.get("ready", ())),
        tuple(rule.get("failed", ())),
        rule.get("message", ""),
        float(rule.get("grace", 10)),
    )
