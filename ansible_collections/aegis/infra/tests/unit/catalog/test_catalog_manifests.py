# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests are read as the Kubernetes API reads them, by both YAML loaders alike."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.aegis.infra.plugins.module_utils.catalog import ManifestError, manifests, parse_manifests

LOADERS = [
    pytest.param(manifests.PYTHON_LOADER, id="python"),
    pytest.param(
        manifests.C_LOADER,
        id="libyaml",
        marks=pytest.mark.skipif(manifests.C_LOADER is None, reason="PyYAML is built without libyaml"),
    ),
]
Loader = type[yaml.SafeLoader]

STREAM = """\
# a comment, then an empty document
---
---
apiVersion: v1
kind: ConfigMap
metadata: {name: scalars}
data:
  operators: [=, "!=", =~]
  date: 2026-08-01
  time: 2026-08-01T10:00:00Z
  window: 03:30
  ports: 6379:59
  number: 17
  octal: 0644
  float: 1.5
  yes: true
  none: ~
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Secret, metadata: {name: a}}
  - apiVersion: v1
    kind: SecretList
    items:
      - {apiVersion: v1, kind: Secret, metadata: {name: b}}
---
apiVersion: example.org/v1
kind: AllowList
metadata: {name: not-flattened}
spec: &shared {key: value}
---
apiVersion: v1
kind: List
items: null
"""


@pytest.mark.parametrize("loader", LOADERS)
def test_stream(loader: Loader) -> None:
    objects = parse_manifests(STREAM.encode(), "stream", loader)
    assert [o["metadata"]["name"] for o in objects] == ["scalars", "a", "b", "not-flattened"]
    assert objects[0]["data"] == {
        "operators": ["=", "!=", "=~"],
        "date": "2026-08-01",
        "time": "2026-08-01T10:00:00Z",
        "window": "03:30",
        "ports": "6379:59",
        "number": 17,
        "octal": 0o644,
        "float": 1.5,
        True: True,
        "none": None,
    }


BAD: list[tuple[str, str, str]] = [
    (
        "duplicate key",
        "apiVersion: v1\nkind: A\nmetadata: {name: x}\nspec:\n  a: 1\n  a: 2\n",
        "line 6: duplicate key 'a'",
    ),
    ("no YAML", "apiVersion: v1\nkind: [A\n", "document 1, line 3: "),
    ("no mapping", "- a\n- b\n", "document 1, line 1: a Kubernetes object is a mapping, this is a list"),
    ("no apiVersion", "---\n---\nkind: A\nmetadata: {name: x}\n", "document 2, line 3: apiVersion is missing"),
    ("kind no text", "apiVersion: v1\nkind: 7\nmetadata: {name: x}\n", "kind is missing or not a string"),
    ("no name", "apiVersion: v1\nkind: A\nmetadata: {}\n", "document 1, line 1: A has no metadata.name"),
    ("no metadata", "apiVersion: v1\nkind: A\nmetadata: x\n", "A has no metadata.name"),
    ("bad item", "apiVersion: v1\nkind: List\nitems: [{kind: A}]\n", "line 1, items[0]: apiVersion is missing"),
    (
        "a tag",
        "apiVersion: v1\nkind: !!python/object:os.system A\nmetadata: {name: x}\n",
        "line 2: could not determine",
    ),
    ("unhashable key", "apiVersion: v1\nkind: A\nmetadata: {name: x}\n? {a: 1}\n: 2\n", "document 1, line 4: "),
]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(("text", "message"), [pytest.param(t, m, id=i) for i, t, m in BAD])
def test_refused(loader: Loader, text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifests(text, "the-origin.yaml", loader)
    assert str(caught.value).startswith("the-origin.yaml, document ")
    assert message in str(caught.value)


@pytest.mark.parametrize("loader", LOADERS)
def test_not_utf8(loader: Loader) -> None:
    with pytest.raises(ManifestError, match="the-origin"):
        parse_manifests(b"kind: \xff\xfe\n", "the-origin", loader)


def test_ordinary_yaml_is_not_changed_by_ours() -> None:
    """The resolvers were taken from our loaders only."""
    loaded: Any = yaml.safe_load("2026-08-01")
    assert not isinstance(loaded, str)
