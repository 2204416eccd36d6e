# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes manifests: YAML text to a list of objects, read as the Kubernetes API reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import yaml

from ansible_collections.aegis.infra.plugins.module_utils.catalog.errors import ManifestError

# YAML 1.1 beyond what Kubernetes reads: there a bare `=` (in prometheus-operator's CRDs) and dates are strings.
_DROPPED_TAGS = ("tag:yaml.org,2002:value", "tag:yaml.org,2002:timestamp")
_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class _NotSexagesimal:
    """A number pattern of PyYAML without base 60, so that `03:30` stays a string."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def match(self, text: str) -> re.Match[str] | None:
        return None if _SEXAGESIMAL.fullmatch(text) else self._pattern.match(text)


def _resolvers(base: type[yaml.SafeLoader]) -> dict[str, list[tuple[str, Any]]]:
    """The implicit resolvers of `base` as Kubernetes understands plain scalars."""
    table: dict[str, list[tuple[str, Any]]] = {}
    for first, resolvers in base.yaml_implicit_resolvers.items():
        kept = [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED_TAGS]
        table[first] = [(tag, _NotSexagesimal(p) if tag in _NUMBER_TAGS else p) for tag, p in kept]
    return table


def _construct_mapping(loader: Any, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    """A mapping; raises ConstructorError (with the line) where a key stands twice."""
    seen: set[tuple[str, str]] = set()
    for key, _value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
        seen.add((key.tag, key.value))
    return cast("dict[Any, Any]", yaml.SafeLoader.construct_mapping(loader, node, deep))


def _make_loader(name: str, base: Any) -> type[yaml.SafeLoader]:
    members = {"yaml_implicit_resolvers": _resolvers(base), "construct_mapping": _construct_mapping}
    return cast("type[yaml.SafeLoader]", type(name, (base,), members))


PYTHON_LOADER = _make_loader("PythonLoader", yaml.SafeLoader)
# libyaml's parser is about nine times as fast; PyYAML has it only where it was built with it.
C_LOADER = _make_loader("CLoader", yaml.CSafeLoader) if hasattr(yaml, "CSafeLoader") else None
LOADER: type[yaml.SafeLoader] = C_LOADER or PYTHON_LOADER


def parse_manifests(text: str | bytes, origin: str, loader: type[yaml.SafeLoader] = LOADER) -> list[dict[str, Any]]:
    """All objects of a YAML stream, `List` kinds flattened, empty documents dropped.

    origin: what the text came from, for error messages (a path, a URL, an artifact).
    Raises ManifestError: not YAML, a key twice, or a document without apiVersion, kind or metadata.name.
    """
    objects: list[dict[str, Any]] = []
    for number, (line, document) in enumerate(_documents(text, origin, loader), start=1):
        if document is not None:
            objects.extend(_objects(document, f"{origin}, document {number}, line {line}"))
    return objects


def _documents(text: str | bytes, origin: str, loader_class: type[yaml.SafeLoader]) -> Iterator[tuple[int, Any]]:
    """The documents of the stream, each with the line it starts at."""
    number = 1
    try:
        loader = loader_class(_decode(text))
        try:
            while loader.check_node():
                node = cast("yaml.Node", loader.get_node())
                yield node.start_mark.line + 1, loader.construct_document(node)
                number += 1
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError(f"{origin}, document {number}{_place(error)}") from error


def _decode(text: str | bytes) -> str:
    return text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")


def _place(error: Exception) -> str:
    """`, line 7: problem` of a YAML error."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f", line {mark.line + 1}: {problem}" if mark else f": {problem}"


def _objects(document: Any, place: str) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        raise ManifestError(f"{place}: a Kubernetes object is a mapping, this is a {type(document).__name__}")
    _require_text(document, ("apiVersion", "kind"), place)
    if document["kind"].endswith("List") and isinstance(document.get("items", ""), list | None):
        for index, item in enumerate(document["items"] or []):
            yield from _objects(item, f"{place}, items[{index}]")
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not _is_text(metadata.get("name")):
        raise ManifestError(f"{place}: {document['kind']} has no metadata.name")
    yield document


def _require_text(document: dict[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in keys:
        if not _is_text(document.get(key)):
            raise ManifestError(f"{place}: {key} is missing or not a string")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
