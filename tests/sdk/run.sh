#!/usr/bin/env bash
# End-to-end tests with the official OpenAI SDKs: run.sh [PROGRAM [PYTEST ARGUMENTS]]
# Puts the pinned packages into .deps/venv (Python) and, where there is node, into .deps/node.
# Exit status 77: skipped, because no package registry can be reached (UNDERSTUDY_SDK_REQUIRED=1 makes that a failure).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
program=${1:-$root/build/release/understudy}
(($#)) && shift
[[ -x $program ]] || { echo "run.sh: no program at $program: ./dev build makes it" >&2; exit 2; }

venv=$root/.deps/venv
stamp=$venv/complete-$(python3 --version | cat - "$here/requirements.txt" | sha256sum | cut -c 1-16)
if [[ ! -e $stamp ]]; then
  mkdir -p "$root/.deps"
  exec 9> "$root/.deps/venv.lock"
  flock 9
fi
if [[ ! -e $stamp ]]; then
  rm -f "$venv"/complete-*
  python3 -m venv "$venv" || { echo "run.sh: python3 -m venv failed: install python3-venv" >&2; exit 2; }
  log=$root/.deps/venv.log
  if ! "$venv/bin/pip" install --disable-pip-version-check --retries 2 -r "$here/requirements.txt" > "$log" 2>&1; then
    tail -n 5 "$log" >&2
    if [[ -z ${UNDERSTUDY_SDK_REQUIRED:-} ]] && grep -qE 'Retrying|NewConnectionError|Temporary failure|Name or service|unreachable|ProxyError|timed out' "$log"; then
      echo "run.sh: SKIPPED: pip cannot reach a package registry, so the SDK tests were not run" >&2
      exit 77
    fi
    echo "run.sh: pip could not install tests/sdk/requirements.txt (log: $log)" >&2
    exit 1
  fi
  touch "$stamp"
fi

install_node_packages() {
  local node=$root/.deps/node stamp
  stamp=$node/complete-$(node --version | cat - "$here"/node/package*.json | sha256sum | cut -c 1-16)
  [[ ! -e $stamp ]] || return 0
  mkdir -p "$node"
  exec 8> "$root/.deps/node.lock"
  flock 8
  [[ ! -e $stamp ]] || return 0
  rm -f "$node"/complete-*
  cp "$here"/node/package*.json "$node"
  (cd "$node" && npm ci --ignore-scripts --no-audit --no-fund > "$root/.deps/node.log" 2>&1) || {
    tail -n 5 "$root/.deps/node.log" >&2
    rm -rf "$node/node_modules"
    return 0  # test_node.py then says what is missing
  }
  touch "$stamp"
}
if command -v node > /dev/null && command -v npm > /dev/null; then install_node_packages; fi
program=$(realpath "$program")
cd "${UNDERSTUDY_TESTS:-$here}"  # tests/faults runs in the same environment
UNDERSTUDY_PROGRAM=$program PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@" .
