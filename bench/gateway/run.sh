#!/usr/bin/env bash
# Builds what is missing and runs the gateway benchmark; arguments go to run.py (--help lists them).
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ ! -f build/bench/CMakeCache.txt ]]; then cmake --preset bench > /dev/null; fi
targets=(bench_load bench_upstream bench_proxy_floor)
if cmake --build --preset bench --target help | grep -q '^understudy: '; then targets+=(understudy); fi
cmake --build --preset bench --target "${targets[@]}" > /dev/null
if [[ " $* " == *litellm* && ! -x .deps/litellm/bin/litellm ]]; then
  python3 -m venv .deps/litellm
  .deps/litellm/bin/pip install --quiet --requirement bench/gateway/litellm-requirements.txt
fi
exec python3 bench/gateway/run.py --out build/bench/gateway-bench.json "$@"
