#!/usr/bin/env bash
# Builds what is missing and runs the soak; arguments go to run.py (--help lists them).
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ ! -f build/bench/CMakeCache.txt ]]; then cmake --preset bench > /dev/null; fi
targets=(bench_load bench_upstream)
if [[ " $* " != *" --program "* ]]; then targets+=(understudy); fi
cmake --build --preset bench --target "${targets[@]}" > /dev/null
exec python3 bench/soak/run.py "$@"
