#!/usr/bin/env bash
# Brings what the optional trainer is built on into .deps/trainer/ (docs/guide/trainer.md), from the Python packages that
# tools/trainer.txt pins: libtorch's headers and its two CPU libraries, and two small libraries that it links though no GPU is used.
#
#   tools/fetch_trainer.sh   what is missing; 553 MB are downloaded, 500 MB kept
#
# Exit status: 0 everything is there; 1 it is not, and the last line says why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deps=$(readlink -m .deps)
pins=tools/trainer.txt
failed_mark=$deps/trainer-fetch-failed
# shellcheck source=tools/wheels.sh
source tools/wheels.sh

# The stamp names the pinned lines, so that a changed pin is fetched anew.
stamp=$deps/trainer/fetched-$(sha256sum "$pins" | cut -c 1-16)
[[ -e $stamp ]] && exit 0
begin_fetching trainer
[[ -e $stamp ]] && exit 0  # another run brought it while this one waited

new=$scratch/new
for package in torch nvidia-cuda-runtime nvidia-cuda-cupti; do fetch "$package"; done
unpack torch "$new" 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so torch/lib/libgomp.so.1 'torch-*.dist-info/licenses/*'
unpack nvidia-cuda-runtime "$new" nvidia/cu13/lib/libcudart.so.13 '*.dist-info/licenses/*'
unpack nvidia-cuda-cupti "$new" nvidia/cu13/lib/libcupti.so.13 '*.dist-info/licenses/*'
touch "$new/$(basename "$stamp")"
# Whole or not at all.
if [[ -e $deps/trainer ]]; then mv "$deps/trainer" "$scratch/old"; fi
mv "$new" "$deps/trainer"
rm -f "$failed_mark"
