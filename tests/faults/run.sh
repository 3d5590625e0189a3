#!/usr/bin/env bash
# Tests with upstreams and clients that misbehave: run.sh [PROGRAM [PYTEST ARGUMENTS]]. Same environment as tests/sdk.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
UNDERSTUDY_TESTS=$here exec "$here/../sdk/run.sh" "$@"
