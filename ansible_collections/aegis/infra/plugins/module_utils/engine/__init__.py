# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects in, cluster state out: server-side apply, waiting, evidence. Knows nothing about Aegis or Ansible."""
