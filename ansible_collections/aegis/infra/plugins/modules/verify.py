#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin aegis.infra.verify, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Check that a cluster is what the inventory declares
version_added: 3.0.0
author: Aegis Platform (@aegis)
description:
  - Asks for the server's version, nodes by pool and zone, namespaces, the readiness of every declared resource, and the
    Services that applications are promised.
  - Prints a table, writes C(verify.json) and C(verify.xml) (JUnit), and fails when a check fails. What only a running
    container could answer is C(skipped (simulated)) where pods are simulated.
options:
  layers:
    description: Layers whose resources must be ready, each with C(role_path) and C(components) as for M(aegis.infra.converge).
    type: list
    elements: dict
    required: true
  services:
    description: >-
      Promised Services, each with C(use), C(name), C(namespace), C(ports), and the section of the model that enables it
      (C(settings)).
    type: list
    elements: dict
    required: true
  answers:
    description: >-
      Questions to running containers, each with C(name), C(settings), C(namespace), C(selector), C(container), C(command)
      and the text to C(expect).
    type: list
    elements: dict
    required: true
  report_dir:
    description: Where the reports are written.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    description: Failed checks do not fail the task, since nothing was converged before it.
  diff_mode:
    support: none
    description: There is nothing to differ.
"""

EXAMPLES = r"""
- name: The cluster is what the inventory declares
  aegis.infra.verify:
    layers: "{{ verify_layers }}"
    services: "{{ verify_services }}"
    answers: "{{ verify_answers }}"
    report_dir: "{{ verify_report_dir }}"
"""

RETURN = r"""
checks:
  description: Every check with C(group), C(name), C(status) (pass, fail, skip) and C(evidence).
  returned: always
  type: list
  elements: dict
report:
  description: Path of the JSON report.
  returned: always
  type: str
"""
