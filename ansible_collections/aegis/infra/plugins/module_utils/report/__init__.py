# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts as a table, JSON and JUnit XML."""
