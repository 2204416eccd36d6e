#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin aegis.infra.cluster_info, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Ask the cluster of the inventory who it is
version_added: 3.0.0
author: Aegis Platform (@aegis)
description:
  - Connects with C(aegis_cluster.kubeconfig) and C(aegis_cluster.context) and reads the server's version.
  - Fails when the file or the context is missing, the server cannot be reached, or it refuses the credentials.
options: {}
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: There is nothing to differ.
"""

EXAMPLES = r"""
- name: The cluster answers
  aegis.infra.cluster_info:
"""

RETURN = r"""
kubernetes_version:
  description: Version of the API server.
  returned: success
  type: str
server:
  description: Address of the API server.
  returned: success
  type: str
"""
