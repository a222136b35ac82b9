#!/usr/bin/env bash
# How fast torrents are made and checked, wl and libtorrent side by side: one file of 4 GiB, 20 000 files of 50 KiB.
#
#   make bench-create             about 3 minutes, after the build; needs 6 GB of memory for the page cache
#   QUICK=1 make bench-create     half a minute, smaller: a first look, not for quoting
#
# Files lie in BENCH_DIR (/tmp) and are read from the page cache. ROUNDS (5) turns each, RETRIES (4) for a turn during
# which the rest of the machine was busy. NICE=-10 (as root) puts the work before the rest of the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
PYTHON=${WL_TEST_PYTHON:-.venv/bin/python}
[ -x "$PYTHON" ] || PYTHON=python3
PYTHON=$(realpath --no-symlinks "$(command -v "$PYTHON")")
if [ -n "${QUICK:-}" ]; then
  SIZE=(--size-mib 512 --files 4000 --rounds "${ROUNDS:-2}" --retries "${RETRIES:-0}")
else
  SIZE=(--size-mib 4096 --files 20000 --rounds "${ROUNDS:-5}" --retries "${RETRIES:-4}")
fi

$CARGO build --release --locked -q -p wl
WL=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/wl
SCRIPT=$PWD/bench/create.py
WORK=$(mktemp -d "${BENCH_DIR:-/tmp}/weightless-create.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
printf '%s; %s; Linux %s; ' "$(git describe --always --dirty --abbrev=12)" "${QUICK:+QUICK=1 }make bench-create" "$(uname -r)"
cd "$WORK"
nice -n "${NICE:-0}" "$PYTHON" "$SCRIPT" "$WL" "${SIZE[@]}"
