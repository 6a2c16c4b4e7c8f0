#!/usr/bin/env bash
# Unpacks an emulated arm64 world below DIR, for qemu-aarch64 (user mode) on another machine:
#   DIR/root   Debian's arm64 Python and what it needs, unpacked, not installed
#   DIR/site   ONNX Runtime and numpy for that Python
# Usage: make_root.sh DIR ONNXRUNTIME_VERSION     (needs apt-get, dpkg, python3 with pip)
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
onnxruntime=$2
root=$dir/root apt=$dir/apt site=$dir/site

# An apt state of its own, in which nothing is installed: apt then resolves every dependency.
mkdir -p "$root" "$site" "$apt/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
options=(-qq -oAPT::Architecture=arm64 -oAPT::Architectures=arm64 -oAPT::Sandbox::User=root
  -oDir::State::status="$apt/status" -oDir::State::lists="$apt/lists" -oDir::Cache="$apt/cache"
  -oDebug::NoLocking=1)
apt-get "${options[@]}" update
apt-get "${options[@]}" --yes --download-only --no-install-recommends install \
  python3 libstdc++6 libgomp1 >/dev/null
for package in "$apt"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$root"
done

# ONNX Runtime reads the processor from here; without an arm64 answer it crashes when imported.
mkdir -p "$root/proc"
for processor in 0 1; do
  cat <<END
processor : $processor
BogoMIPS : 243.75
Features : fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer : 0x41
CPU architecture: 8
CPU variant : 0x4
CPU part : 0xd0b
CPU revision : 1

END
done >"$root/proc/cpuinfo"

python=$(basename "$(readlink -f "$root/usr/bin/python3")")
version=${python#python}
wheels=$dir/wheels
PIP_CONSTRAINT='' python3 -m pip download --quiet --dest "$wheels" --only-binary=:all: \
  --implementation cp --python-version "$version" --abi "cp${version/./}" \
  --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
  --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 \
  "onnxruntime==$onnxruntime"
for wheel in "$wheels"/*.whl; do
  python3 -m zipfile --extract "$wheel" "$site"
done
