# SPDX-License-Identifier: GPL-3.0-or-later
"""Read-only questions to a cluster, each answered with pass, fail or skip and the evidence."""
