# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster role leaves a running control plane that is closed to others."""

from __future__ import annotations

import os

import pytest

KUBECONFIG = os.environ["AEGIS_KUBECONFIG"]
KUBECTL = f"{os.environ['AEGIS_KUBECTL']} kubectl --kubeconfig {KUBECONFIG}"


def test_kubeconfig_is_private(host):
    kubeconfig = host.file(KUBECONFIG)
    assert kubeconfig.mode == 0o600


@pytest.mark.parametrize("pool", ["control-plane", "application", "data", "platform"])
def test_every_pool_has_ready_nodes(host, pool):
    nodes = host.check_output(f"{KUBECTL} get nodes -l devcluster.aegis.io/pool={pool} --no-headers").splitlines()
    assert len(nodes) >= 2
    assert all(line.split()[1].startswith("Ready") for line in nodes)


def test_listens_on_loopback_only(host):
    server = host.check_output(f"{KUBECTL} config view -o jsonpath='{{.clusters[0].cluster.server}}'")
    port = server.rsplit(":", 1)[1]
    assert host.socket(f"tcp://127.0.0.1:{port}").is_listening
    assert not host.socket(f"tcp://0.0.0.0:{port}").is_listening
