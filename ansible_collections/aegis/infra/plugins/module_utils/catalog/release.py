# SPDX-License-Identifier: GPL-3.0-or-later
"""A platform release: the typed form of a file in `releases/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from ansible_collections.aegis.infra.plugins.module_utils.catalog.errors import ReleaseError
from ansible_collections.aegis.infra.plugins.module_utils.catalog.manifests import LOADER

_RELEASE_NAME = re.compile(r"\d+\.\d+(\.\d+)?")
_KUBERNETES_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:[.+-].*)?")
_COMPARISON = re.compile(r"(<=|<|>=|>)\s*(\d+(?:\.\d+)*)")
# The kinds of sources, in the order in which they are asked: a generator that needs Java and a minute comes last.
SOURCE_KINDS = ("url", "go_module", "strimzi_crd_generator")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)+([-+.][0-9A-Za-z.-]+)?$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
KubernetesMinor = Annotated[str, Field(pattern=r"^1\.\d+$")]


class _Part(BaseModel):
    """Base of all parts: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            allowed = {field.alias or name for name, field in cls.model_fields.items()} | set(cls.model_fields)
            unknown = sorted(str(key) for key in data if key not in allowed)
            if unknown:
                keys = ", ".join(sorted(field.alias or name for name, field in cls.model_fields.items()))
                raise ValueError(f"unknown key {', '.join(unknown)}; allowed are {keys}")
        return data


class UrlSource(_Part):
    """The file at an http(s) URL."""

    kind: ClassVar[str] = "url"
    url: HttpUrl


class GoModuleSource(_Part):
    """A file of a tagged Go module. go_module: `module/path@version`. path: relative to the module's root."""

    kind: ClassVar[str] = "go_module"
    go_module: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/\S+@v\d\S*$")]
    path: Annotated[str, Field(pattern=r"^[^/\s][^\s]*$")]

    @field_validator("path")
    @classmethod
    def _inside_module(cls, path: str) -> str:
        if ".." in path.split("/"):
            raise ValueError("the path leaves the module")
        return path


class StrimziClass(_Part):
    """A CRD as Strimzi's generator makes it. java_class (`class` in the file): the API class."""

    version: Version
    java_class: str = Field(alias="class", pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$")


class StrimziSource(_Part):
    """Strimzi's CRD generator of one release."""

    kind: ClassVar[str] = "strimzi_crd_generator"
    strimzi_crd_generator: StrimziClass


def _source_kind(value: Any) -> str | None:
    """Which source a mapping describes: the first of the known keys in it."""
    if isinstance(value, dict):
        return next((kind for kind in SOURCE_KINDS if kind in value), None)
    return getattr(value, "kind", None)


SourceSpec = Annotated[
    Annotated[UrlSource, Tag("url")]
    | Annotated[GoModuleSource, Tag("go_module")]
    | Annotated[StrimziSource, Tag("strimzi_crd_generator")],
    Discriminator(
        _source_kind,
        custom_error_type="source",
        custom_error_message="a source has one of the keys " + ", ".join(SOURCE_KINDS),
    ),
]


class CrdKind(_Part):
    """A CustomResourceDefinition. versions: the served ones. storage: the version kept in etcd."""

    kind: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")]
    group: DnsName
    plural: DnsName
    scope: Literal["Namespaced", "Cluster"]
    versions: tuple[str, ...] = Field(min_length=1)
    storage: str

    @model_validator(mode="after")
    def _storage_is_a_version(self) -> CrdKind:
        if self.storage not in self.versions:
            raise ValueError(f"storage {self.storage} is none of versions {', '.join(self.versions)}")
        return self

    @property
    def name(self) -> str:
        """`metadata.name` of the CustomResourceDefinition."""
        return f"{self.plural}.{self.group}"


class Artifact(_Part):
    """A file by content. name: also its name in a mirror. size: bytes; None where upstream states only the digest."""

    name: FileName
    sha256: Sha256
    size: Annotated[int, Field(gt=0)] | None = None
    install: bool = False
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    crds: tuple[CrdKind, ...] = ()


class Chart(_Part):
    """A Helm chart. app_version: what it installs when its values name no image."""

    name: DnsName
    version: Version
    app_version: Version | None = None
    sha256: Sha256
    sources: tuple[SourceSpec, ...] = Field(min_length=1)

    @property
    def artifact(self) -> Artifact:
        """The chart's package as an artifact, `<name>-<version>.tgz`."""
        return Artifact(name=f"{self.name}-{self.version}.tgz", sha256=self.sha256, sources=self.sources)


class UpgradeHop(_Part):
    """Installed versions that must pass through another one.

    from_ (`from` in the file): comparisons such as `>= 0.40, < 1.0.0`. via: the version to upgrade to first.
    """

    from_: str = Field(alias="from")
    via: Version
    reason: str

    @field_validator("from_")
    @classmethod
    def _comparisons(cls, text: str) -> str:
        if not all(_COMPARISON.fullmatch(part.strip()) for part in text.split(",")):
            raise ValueError("comparisons are <, <=, > or >= and a version, separated by commas")
        return text

    def applies_to(self, installed: str) -> bool:
        """Whether a component of version `installed` has this hop before it."""
        have = _numbers(installed)
        return have < _numbers(self.via) and all(_holds(have, part.strip()) for part in self.from_.split(","))


class Component(_Part):
    """One upstream system of a release. kubernetes: the range that upstream documents, in its own words."""

    name: DnsName
    version: Version
    kubernetes: str
    artifacts: tuple[Artifact, ...]
    chart: Chart | None = None
    images: dict[str, Annotated[str, Field(pattern=r"^[^\s:@]+(/[^\s:@]+)*:[^\s:@]+(@sha256:[0-9a-f]{64})?$")]] = {}
    settings: dict[str, str] = {}
    upgrade_from: tuple[UpgradeHop, ...] = ()

    @model_validator(mode="after")
    def _unique_files(self) -> Component:
        names = [artifact.name for artifact in self.artifacts] + ([self.chart.artifact.name] if self.chart else [])
        _refuse_twice("artifact", names)
        return self

    @property
    def crds(self) -> tuple[CrdKind, ...]:
        """The CRDs of all artifacts."""
        return tuple(crd for artifact in self.artifacts for crd in artifact.crds)

    def hops_from(self, installed: str) -> tuple[UpgradeHop, ...]:
        """The hops that upstream demands on the way from `installed` to this version. ValueError: not a version."""
        return tuple(hop for hop in self.upgrade_from if hop.applies_to(installed))


class KubernetesSupport(_Part):
    """default: the version of the embedded cluster. supported: minors, `1.NN`."""

    default: Annotated[str, Field(pattern=r"^1\.\d+\.\d+$")]
    supported: tuple[KubernetesMinor, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _default_is_supported(self) -> KubernetesSupport:
        if _minor(self.default) not in self.supported:
            raise ValueError(f"default {self.default} is not in supported ({', '.join(self.supported)})")
        return self


class Release(_Part):
    """Everything that a release of the platform pins."""

    release: Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")]
    kubernetes: KubernetesSupport
    components: dict[str, Component]

    @field_validator("components", mode="before")
    @classmethod
    def _name_components(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: {**part, "name": name} if isinstance(part, dict) else part for name, part in data.items()}

    @model_validator(mode="after")
    def _unique_crds(self) -> Release:
        _refuse_twice("CRD", [crd.name for component in self.components.values() for crd in component.crds])
        return self

    def supports_kubernetes(self, version: str) -> bool:
        """Whether a server of `version` (`1.36`, `v1.36.3`, `1.35.2-eks-1`) is supported. ValueError: not a version."""
        return _minor(version) in self.kubernetes.supported

    def component(self, name: str) -> Component:
        """The component `name`. ReleaseError: there is none; the text lists those there are."""
        try:
            return self.components[name]
        except KeyError:
            known = ", ".join(sorted(self.components))
            raise ReleaseError(f"release {self.release} has no component {name!r}; it has {known}") from None


def load_release(name: str, directory: str | Path) -> Release:
    """The release `name` (such as "3.0") from `directory`/<name>.yml.

    Raises ReleaseError: there is no such release (the text lists those there are), or the file breaks a rule
    (the text lists every breach with file, line, path and what is allowed).
    """
    path = Path(directory) / f"{name}.yml"
    if not _RELEASE_NAME.fullmatch(name) or not path.is_file():
        raise ReleaseError(f"there is no release {name!r} in {directory}; there is {_known_releases(directory)}")
    node, data = _read(path)
    try:
        release = Release.model_validate(data)
    except ValidationError as error:
        raise ReleaseError("\n".join(_breach(path, node, part) for part in error.errors())) from error
    if release.release != name:
        raise ReleaseError(f"{path}: release: the file's name says {name}, its content {release.release}")
    return release


def known_releases(directory: str | Path) -> tuple[str, ...]:
    """The releases in `directory`, oldest first."""
    names = [path.stem for path in Path(directory).glob("*.yml") if _RELEASE_NAME.fullmatch(path.stem)]
    return tuple(sorted(names, key=_numbers))


def _known_releases(directory: str | Path) -> str:
    return ", ".join(known_releases(directory)) or "none"


def _read(path: Path) -> tuple[yaml.Node | None, Any]:
    """The file's YAML node (for line numbers) and its data."""
    try:
        loader = LOADER(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        return node, loader.construct_document(node) if node else None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ReleaseError(f"{path}: {error}") from error


def _breach(path: Path, node: yaml.Node | None, error: Any) -> str:
    where = _place(error["loc"])
    value = error.get("input")
    given = f" (given: {value!r})" if isinstance(value, str | int | float | bool) else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}:{_line(node, where)}: {'.'.join(map(str, where)) or 'the file'}: {message}{given}"


def _place(location: tuple[int | str, ...]) -> list[int | str]:
    """Where in the file: pydantic's location without the tag of the source's kind after `sources, <index>`."""
    return [part for i, part in enumerate(location) if i < 2 or location[i - 2] != "sources"]


def _line(node: yaml.Node | None, where: list[int | str]) -> int:
    """The line of the innermost part of `where` that is in the file."""
    line = node.start_mark.line + 1 if node else 1
    for step in where:
        child = _child(node, step)
        if child is None:
            break
        node = child
        line = node.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return cast("yaml.Node", node.value[step])
    return None


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} listed twice: {', '.join(twice)}")


def _minor(version: str) -> str:
    match = _KUBERNETES_VERSION.fullmatch(version)
    if not match:
        raise ValueError(f"{version!r} is not a Kubernetes version")
    return f"{match[1]}.{match[2]}"


def _numbers(version: str) -> tuple[int, ...]:
    """`v0.39.0-rc1` → (0, 39, 0)"""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    if not match:
        raise ValueError(f"{version!r} is not a version")
    return tuple(int(part) for part in match[1].split("."))


def _holds(have: tuple[int, ...], comparison: str) -> bool:
    match = _COMPARISON.fullmatch(comparison)
    if not match:
        raise ValueError(f"{comparison!r} is not a comparison")
    than = _numbers(match[2])
    return {"<": have < than, "<=": have <= than, ">": have > than, ">=": have >= than}[match[1]]
