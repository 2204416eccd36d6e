# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks as a table for people, JSON for programs, and JUnit XML for CI systems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from ansible_collections.aegis.infra.plugins.module_utils.checks.check import Check


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as their longest cell."""
    widths = [max(len(row[index]) for row in [headers, *rows]) for index in range(len(headers))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [headers, *rows]]


def check_table(checks: Sequence[Check]) -> list[str]:
    """One line a check, what needs attention last."""
    order = {"pass": 0, "skip": 1, "fail": 2}
    rows = [(c.status.upper(), c.group, c.name, c.evidence) for c in sorted(checks, key=lambda c: order[c.status])]
    return table(("RESULT", "GROUP", "CHECK", "EVIDENCE"), rows)


def write_reports(folder: Path, environment: str, checks: Sequence[Check]) -> tuple[Path, Path]:
    """Write verify.json and verify.xml into `folder`; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    json_path, xml_path = folder / "verify.json", folder / "verify.xml"
    json_path.write_text(json.dumps(_as_json(environment, checks), indent=2) + "\n", encoding="utf-8")
    ElementTree.ElementTree(_as_junit(environment, checks)).write(xml_path, encoding="utf-8", xml_declaration=True)
    return json_path, xml_path


def _count(checks: Sequence[Check], status: str) -> int:
    return sum(check.status == status for check in checks)


def _as_json(environment: str, checks: Sequence[Check]) -> dict:
    return {
        "environment": environment,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "summary": {status: _count(checks, status) for status in ("pass", "fail", "skip")},
        "checks": [{"group": c.group, "name": c.name, "status": c.status, "evidence": c.evidence} for c in checks],
    }


def _as_junit(environment: str, checks: Sequence[Check]) -> ElementTree.Element:
    suite = ElementTree.Element(
        "testsuite",
        name=f"verify {environment}",
        tests=str(len(checks)),
        failures=str(_count(checks, "fail")),
        skipped=str(_count(checks, "skip")),
        errors="0",
    )
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.group, name=check.name)
        if check.status != "pass":
            ElementTree.SubElement(case, {"fail": "failure", "skip": "skipped"}[check.status], message=check.evidence)
    return suite
