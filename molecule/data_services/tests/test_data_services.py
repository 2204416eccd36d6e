# SPDX-License-Identifier: GPL-3.0-or-later
"""The data_services role leaves services that applications can find."""

from __future__ import annotations

import json
import os

import pytest

KUBECTL = f"{os.environ['AEGIS_KUBECTL']} kubectl --kubeconfig {os.environ['AEGIS_KUBECONFIG']} -n aegis-data"


@pytest.mark.parametrize(
    ("name", "port"), [("postgresql", 5432), ("aegis-redis", 6379), ("aegis-kafka-bootstrap", 9092), ("schema-registry", 8081)]
)
def test_service_has_its_port_and_endpoints(host, name, port):
    service = json.loads(host.check_output(f"{KUBECTL} get service {name} -o json"))
    assert port in [entry["port"] for entry in service["spec"]["ports"]]
    slices = json.loads(host.check_output(f"{KUBECTL} get endpointslices -l kubernetes.io/service-name={name} -o json"))["items"]
    ready = [endpoint for entry in slices for endpoint in entry["endpoints"] if endpoint["conditions"]["ready"]]
    assert len(ready) >= 2
