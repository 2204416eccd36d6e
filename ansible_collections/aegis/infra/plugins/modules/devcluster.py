#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin aegis.infra.devcluster, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devcluster
short_description: Run the embedded control plane on this machine
version_added: 3.0.0
author: Aegis Platform (@aegis)
description:
  - Builds C(tools/devcluster) when its sources changed, and starts etcd, the API server, the controller manager, the
    scheduler, the simulated kubelets and the simulated operators of the cluster that C(aegis_cluster) describes.
  - What is missing is started again with its data; nodes follow the node pools.
options:
  state:
    description: V(absent) stops every process and removes the cluster with its data.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    support: full
    description: Says what would be started or changed.
  diff_mode:
    support: none
    description: The result names the actions instead.
"""

EXAMPLES = r"""
- name: The embedded cluster runs
  aegis.infra.devcluster:

- name: The embedded cluster is gone
  aegis.infra.devcluster:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done.
  returned: state is present
  type: list
  elements: str
kubeconfig:
  description: Path of the kubeconfig of its administrator.
  returned: state is present
  type: str
"""
