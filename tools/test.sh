#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything that needs a cluster: the devcluster itself, the engine, the playbooks end to end, molecule.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n[test] %s\n' "$1"; }

step "devcluster builds"
tools/devcluster/build.sh .aegis/bin
(cd tools/devcluster && go vet ./... && go test ./...)

step "integration and end to end"
pytest -q ansible_collections/aegis/infra/tests/integration ansible_collections/aegis/infra/tests/e2e

step "molecule"
molecule test --all
