#!/usr/bin/env bash
# ./dev bench audit [ARGS]: see run.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec python3 bench/audit/run.py --audit build/bench/understudy "$@"
