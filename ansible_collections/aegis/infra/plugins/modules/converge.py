#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin aegis.infra.converge, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: converge
short_description: Bring the components of a layer to their declared state
version_added: 3.0.0
author: Aegis Platform (@aegis)
description:
  - Renders each component's templates, sends the objects by server-side apply, and waits until they are ready.
  - Components run side by side as their C(requires) allow. A failing object ends the wait at once, with its conditions,
    its last events and what its pods say.
  - Which cluster, and every value a template sees, comes from the validated C(aegis_*) variables of the inventory.
options:
  layer:
    description: Tag of the layer. With C(--tags) naming components only, just those are converged.
    type: str
    required: true
  components:
    description:
      - The components, as in the role's C(vars/main.yml). Each has a C(name), and its objects are the templates in the
        folder of that name below the role's C(templates/).
      - C(settings) names the section of the model that gives C(enabled), C(namespace) and C(wait_timeout).
      - C(release) names its part of the release file, which templates see as C(release).
      - C(definitions) installs the custom resource definitions of that part.
      - C(chart) is the release name under which its Helm chart is rendered where operators are installed in full;
        C(values.yml.j2) in the component's folder holds the values.
      - C(requires) lists components that must be ready first. C(wait_for) lists objects that others create for it.
      - C(health) tells by C(Kind.group) when an object is C(ready) (all expressions hold) or C(failed) (any holds for
        C(grace) seconds), as Jinja expressions over C(object), C(spec), C(status), C(metadata) and C(condition(type)).
    type: list
    elements: dict
    required: true
  wait:
    description: Wait for readiness.
    type: bool
    default: true
  overrule:
    description: >-
      Patterns of field managers whose changes to our fields are drift that is repaired. A field that any other manager
      owns is reported as a conflict and never overwritten.
    type: list
    elements: str
    default: [kubectl*, k9s, Lens, Mozilla*, node-fetch, OpenAPI-Generator, python-requests*, python-httpx*, curl*]
attributes:
  check_mode:
    support: full
    description: The API server judges every object by a dry run.
  diff_mode:
    support: full
    description: What differs semantically; secret values are never shown.
"""

EXAMPLES = r"""
- name: Data services
  aegis.infra.converge:
    layer: data
    components: "{{ data_services_components }}"
"""

RETURN = r"""
objects:
  description: Every object with what was done to it, the fields that changed, and the field managers overruled.
  returned: always
  type: list
  elements: dict
definitions:
  description: By component, whether its definitions are C(upstream), C(placeholder) or C(mixed).
  returned: always
  type: dict
counts:
  description: Number of objects created, changed, unchanged and failed.
  returned: always
  type: dict
seconds:
  description: Time the engine took.
  returned: always
  type: float
requests:
  description: Requests sent to the API server.
  returned: always
  type: int
retries:
  description: Requests that were tried again.
  returned: always
  type: int
"""
