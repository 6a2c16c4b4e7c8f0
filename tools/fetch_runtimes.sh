#!/usr/bin/env bash
# Puts older ONNX Runtimes, each with a numpy that fits it, below DIR: DIR/1.18.1 and so on.
# Usage: fetch_runtimes.sh DIR VERSION...
set -euo pipefail
dir=$1
shift
for version in "$@"; do
  [ -d "$dir/$version" ] && continue
  rm -rf "$dir/$version.part"
  PIP_CONSTRAINT='' python3 -m pip install --quiet --no-deps --only-binary=:all: \
    --target "$dir/$version.part" "onnxruntime==$version" 'numpy<2'
  mv "$dir/$version.part" "$dir/$version"
done
