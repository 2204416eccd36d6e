#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin aegis.infra.validate, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: Check an inventory against the model of the platform
version_added: 3.0.0
author: Aegis Platform (@aegis)
description:
  - Reads every C(aegis_*) variable of the host and checks types, ranges, names and the rules between them.
  - Fails with all problems at once, each with the variable's path, the file and line it comes from, its value, and what
    is allowed. Nothing is changed, and no cluster is asked.
options: {}
attributes:
  check_mode:
    support: full
    description: It never changes anything.
  diff_mode:
    support: none
    description: There is nothing to differ.
"""

EXAMPLES = r"""
- name: The inventory is right
  aegis.infra.validate:
"""

RETURN = r"""
release:
  description: The platform release the inventory asks for.
  returned: success
  type: str
environment:
  description: Every section of the model with its defaults filled in.
  returned: success
  type: dict
"""
