# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling without a request that nothing would change, and showing what did without showing secrets."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.aegis.infra.plugins.module_utils.engine.diff import as_text, changed_paths
from ansible_collections.aegis.infra.plugins.module_utils.engine.settled import is_settled

DESIRED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s", "namespace": "n", "labels": {"app": "a"}},
    "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": "a"}},
}
OWNED = {
    "f:metadata": {"f:labels": {"f:app": {}}},
    "f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}}, "f:selector": {}},
}


def live() -> dict[str, Any]:
    """What the server makes of DESIRED: defaults, bookkeeping, and a status that somebody else writes."""
    result = copy.deepcopy(DESIRED)
    result["spec"] |= {"type": "ClusterIP", "clusterIP": "10.96.0.9"}
    result["spec"]["ports"][0] |= {"protocol": "TCP", "targetPort": 80}
    result["metadata"] |= {
        "resourceVersion": "5",
        "managedFields": [
            {"manager": "us", "operation": "Apply", "time": "2026-01-01T00:00:10Z", "fieldsV1": OWNED},
            {"manager": "other", "operation": "Update", "subresource": "status", "time": "2026-01-01T00:05:00Z"},
            {"manager": "early", "operation": "Update", "time": "2026-01-01T00:00:01Z"},
        ],
    }
    return result


def test_an_untouched_object_is_settled() -> None:
    assert is_settled(DESIRED, live(), "us")


def set_at(target: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "selector", "app"), "b"),
        (("spec", "ports", 0, "port"), 81),
        (("spec", "ports", 0, "port"), "80"),
        (("spec", "ports"), []),
        (("metadata", "labels"), {}),
        (("metadata", "managedFields", 2, "time"), "2026-01-01T00:00:10Z"),
        (("metadata", "managedFields", 2, "time"), "2026-01-02T00:00:00Z"),
        (("metadata", "managedFields", 0, "manager"), "them"),
        (("metadata", "managedFields", 0, "fieldsV1", "f:spec", "f:externalName"), {}),
        (("metadata", "managedFields", 0, "fieldsV1", "f:spec", "f:ports", 'k:{"port":81}'), {"f:port": {}}),
    ],
)
def test_any_doubt_is_for_the_server(path: tuple[Any, ...], value: Any) -> None:
    changed = copy.deepcopy(live())
    set_at(changed, path, value)
    assert not is_settled(DESIRED, changed, "us")


def test_secret_values_are_never_in_a_diff() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"c2VjcmV0"}}'},
        },
        "data": {"a": "c2VjcmV0"},
        "stringData": {"b": "plain secret"},
    }
    other = {**secret, "data": {"a": "b3RoZXI="}}
    assert "c2VjcmV0" not in as_text(secret)
    assert "plain secret" not in as_text(secret)
    assert as_text(secret) != as_text(other), "a changed value must still show as changed"
    assert changed_paths(secret, other) == ["data.a"]


def test_a_diff_is_without_noise() -> None:
    text = as_text(live())
    for noise in ("managedFields", "resourceVersion", "status"):
        assert noise not in text
