# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a variable's value was written.

ansible-core 2.19 tags data with its origin, but offers no public way to read it. This is the only
place that uses the private one; on an Ansible without it, problems come without file and line.
"""

from __future__ import annotations

from typing import Any

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # an ansible-core that keeps origins elsewhere, or none at all
    Origin = None


def origin_of(value: Any) -> str:
    """`file:line` of a value, `the command line` for -e, or "" where it is unknown."""
    origin = Origin.get_tag(value) if Origin else None
    if origin is None:
        return ""
    if origin.path and origin.line_num:
        return f"{origin.path}:{origin.line_num}"
    text = str(origin.path or origin.description or "").strip("<>")
    return "the command line (-e)" if text == "CLI option '-e'" else text
