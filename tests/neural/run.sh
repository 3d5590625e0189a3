#!/usr/bin/env bash
# Compares the tokenizer with its reference, Hugging Face's `tokenizers`, on 12,000 made-up texts and on 30,000 texts of
# ../shared/data/specialists where that is there: run.sh [NEURAL_TEST]
# Makes a virtual environment in .deps/venv-neural. Exit status 77: skipped, with the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
test_program=$(realpath "${1:-$root/build/release/src/neural/neural_test}")

vocabulary=${UNDERSTUDY_ENCODER_MODEL:-$root/.deps/encoder/all-MiniLM-L6-v2}/vocab.txt
[[ -e $vocabulary ]] || { echo "run.sh: SKIPPED: no vocabulary at $vocabulary: ./dev deps encoder fetches it"; exit 77; }

deps=$(readlink -m "$root/.deps")
venv=$deps/venv-neural
stamp=$venv/complete-$(python3 --version | cat - "$here/requirements.txt" | sha256sum | cut -c 1-16)
if [[ ! -e $stamp ]]; then
  mkdir -p "$deps"
  exec 9> "$deps/venv-neural.lock"
  flock 9
fi
if [[ ! -e $stamp ]]; then
  rm -rf "$venv"
  python3 -m venv "$venv" || { echo "run.sh: SKIPPED: python3 -m venv failed: install python3-venv"; exit 77; }
  if ! "$venv/bin/pip" install --disable-pip-version-check --quiet --retries 2 --no-deps -r "$here/requirements.txt" > "$venv/log" 2>&1; then
    tail -n 3 "$venv/log"
    echo "run.sh: SKIPPED: pip could not install the reference tokenizer (above)"
    exit 77
  fi
  touch "$stamp"
fi

# Data sets beside the repository, where there are any; some are compressed with zstd.
texts=()
shared=$root/../shared/data/specialists
if [[ -d $shared ]] && command -v zstd > /dev/null; then
  mapfile -t texts < <(find "$shared" -name '*.jsonl*' | sort)
fi
cases=$(mktemp)
trap 'rm -f "$cases"' EXIT
"$venv/bin/python" "$root/src/neural/testdata/make_wordpiece_cases.py" cases "$cases" "$vocabulary" 12000 ${texts[@]+"${texts[@]}"}
echo "$(wc -l < "$cases") texts, three settings each"
UNDERSTUDY_WORDPIECE_CASES=$cases UNDERSTUDY_WORDPIECE_VOCABULARY=$vocabulary "$test_program" --gtest_filter='WordPieceReference.CutsAsTheReferenceDoes'
