#!/usr/bin/env bash
# Sees to it that google-benchmark is there: where CMake does not find it, installs Debian's
# package if this is a Debian and we may; otherwise leaves it to CMake to say what is missing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(probe LANGUAGES CXX)' \
  'find_package(Threads REQUIRED)' 'find_package(benchmark REQUIRED)' >"$folder/CMakeLists.txt"
if cmake -S "$folder" -B "$folder/build" >/dev/null 2>&1; then
  exit 0
fi

install=(apt-get install -y --no-install-recommends libbenchmark-dev)
if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  echo "google-benchmark is missing: running ${install[*]}"
  DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null ||
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null; }
else
  echo "google-benchmark is missing; on Debian: sudo ${install[*]}" >&2
fi
