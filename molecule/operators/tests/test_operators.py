# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators role leaves namespaces with our labels and every definition established."""

from __future__ import annotations

import json
import os

KUBECTL = f"{os.environ['AEGIS_KUBECTL']} kubectl --kubeconfig {os.environ['AEGIS_KUBECONFIG']}"


def test_definitions_are_established(host):
    items = json.loads(host.check_output(f"{KUBECTL} get crd -o json"))["items"]
    groups = {item["spec"]["group"] for item in items}
    assert {"postgresql.cnpg.io", "redis.redis.opstreelabs.in", "kafka.strimzi.io", "monitoring.coreos.com"} <= groups
    for item in items:
        conditions = {condition["type"]: condition["status"] for condition in item["status"]["conditions"]}
        assert conditions["Established"] == "True", item["metadata"]["name"]


def test_namespaces_carry_the_labels_of_our_policies(host):
    labels = json.loads(host.check_output(f"{KUBECTL} get namespace aegis-data -o json"))["metadata"]["labels"]
    assert labels["team"] == "aegis"
    assert labels["environment"] == "local"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
