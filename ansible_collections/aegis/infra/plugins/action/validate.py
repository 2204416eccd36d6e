# SPDX-License-Identifier: GPL-3.0-or-later
"""Action side of aegis.infra.validate: the inventory against the model, before anything is touched."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.aegis.infra.plugins.plugin_utils.platform import load_platform


class ActionModule(ActionBase):
    """Runs on the controller; documented in plugins/modules/validate.py."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        environment, release = load_platform(task_vars or {}, self._templar)
        return {"changed": False, "release": release.release, "environment": environment.sections()}
