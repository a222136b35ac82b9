#!/usr/bin/env bash
# How fast data moves, wl, libtorrent and aria2 side by side: downloads from one seeder and from four, seeding, peak
# memory, a thousand idle peers, a way of 100 ms and 1 Gbit/s, a wire that loses 1 % of all packets.
#
#   make bench-transfer           about 15 minutes, after the build; needs 8 GB of memory
#   QUICK=1 make bench-transfer   two minutes, smaller: a first look, not for quoting
#
# Files lie in BENCH_DIR (/dev/shm), in memory. ROUNDS (5) turns each, RETRIES (2) for a turn during which the rest of
# the machine was busy. PARTS (one four serving memory idle far lossy) names the tables. NICE=-10 (as root) puts the work
# before the rest of the machine. The lossy wire needs network namespaces, iproute2 and nftables.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
PYTHON=${WL_TEST_PYTHON:-.venv/bin/python}
[ -x "$PYTHON" ] || PYTHON=python3
PYTHON=$(realpath --no-symlinks "$(command -v "$PYTHON")")
export PYTHONDONTWRITEBYTECODE=1
"$PYTHON" -c 'import libtorrent' 2>/dev/null || { echo 'no libtorrent: make test-tools installs it' >&2; exit 1; }
if [ -n "${QUICK:-}" ]; then
  SIZE=(--size-mib "${SIZE_MIB:-256}" --rounds "${ROUNDS:-2}" --retries "${RETRIES:-0}")
else
  SIZE=(--size-mib "${SIZE_MIB:-2048}" --rounds "${ROUNDS:-5}" --retries "${RETRIES:-2}")
fi

if [ -z "${WL_BINARY:-}" ]; then
  $CARGO build --release --locked -q -p wl
fi
$CARGO build --release --locked -q -p weightless-bench --bin relay
BIN=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
WL=$(realpath "${WL_BINARY:-$BIN/wl}")
SCRIPT=$PWD/bench/transfer.py
WORK=$(mktemp -d "${BENCH_DIR:-/dev/shm}/weightless-transfer.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
printf '%s; %s; rounds: %s; Linux %s; %s; %s; %s\n' "$(git describe --always --dirty --abbrev=12)" \
  "${NICE:+NICE=$NICE }${QUICK:+QUICK=1 }make bench-transfer" "${SIZE[3]}" "$(uname -r)" \
  "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores" \
  "libtorrent $("$PYTHON" -c 'import libtorrent; print(libtorrent.__version__)')" \
  "$(aria2c --version 2>/dev/null | head -n 1 || echo 'no aria2')"
cd "$WORK"
for part in ${PARTS:-one four serving memory idle far lossy}; do
  apart=()
  if [ "$part" = lossy ]; then
    apart=(unshare --map-root-user --net)
    if ! "${apart[@]}" nft list ruleset > /dev/null 2>&1; then
      echo 'no lossy wire: it needs network namespaces (unshare --map-root-user --net) and nft (package nftables)' >&2
      continue
    fi
  fi
  nice -n "${NICE:-0}" "${apart[@]}" "$PYTHON" "$SCRIPT" "$WL" "$BIN/relay" "$part" "${SIZE[@]}"
done
