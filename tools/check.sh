#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Linters, types and unit tests. Everything that needs no cluster, in under two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n[check] %s\n' "$1"; }

step "ruff";         ruff check .; ruff format --check --quiet .
step "mypy";         mypy
step "yamllint";     yamllint --strict .
step "ansible-lint"; ansible-lint --offline --profile production --strict
step "syntax";       ansible-playbook --syntax-check -i inventories/local site.yml playbooks/*.yml
step "documentation"
ansible-doc --type module --json aegis.infra.converge aegis.infra.devcluster aegis.infra.cluster_info aegis.infra.validate aegis.infra.verify >/dev/null
ansible-doc --type filter --json aegis.infra.compact aegis.infra.cron_in_utc aegis.infra.pool_node_selector aegis.infra.pool_tolerations aegis.infra.zone_spread >/dev/null
step "unit tests";   pytest -q ansible_collections/aegis/infra/tests/unit
