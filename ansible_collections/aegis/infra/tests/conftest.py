# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of every kind share."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root folder."""
    return PROJECT
