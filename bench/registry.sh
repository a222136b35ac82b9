#!/usr/bin/env bash
# How fast searches are over a million registry rows, and what announces feel of searches and uploads beside them.
#
#   make bench-registry           about 5 minutes, after the build
#   QUICK=1 make bench-registry   50 thousand rows, under a minute: not for quoting
#
# The servers are pinned to core SERVER_CORE (0), all load to LOAD_CORE (1). "beside": a second daemon on the same core
# is searched and uploaded to while the first one is measured; it shows what the machine alone makes of that.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
SERVER_CORE=${SERVER_CORE:-0} LOAD_CORE=${LOAD_CORE:-1}
if [ -n "${QUICK:-}" ]; then ROWS=50000 SECONDS_EACH=5; else ROWS=1000000 SECONDS_EACH=30; fi
[ "$(nproc)" -gt 1 ] || { echo 'one core is not enough: server and load need one each' >&2; exit 1; }
$CARGO build --release --locked -q -p weightless
$CARGO build --release --locked -q -p weightless-bench
BIN=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
# The database should lie on a disk as it will be used, not in memory: WORK_IN names a folder.
WORK=$(mktemp -d "${WORK_IN:-/var/tmp}/weightless-registry.XXXXXX")
PIDS=()

stop() { for pid in "${PIDS[@]}"; do { kill -9 "$pid"; wait "$pid" || true; } 2>/dev/null; done; PIDS=(); }
trap 'stop; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

# begin NAME COMMAND: starts a server pinned; HTTP and UDP get its ports, PID its id.
begin() {
  local name=$1; shift
  env OPEN_TRACKER=true RATE_LIMIT=0 UDP_RATE_LIMIT=0 PORT=0 UDP_PORT=0 BIND=127.0.0.1 DB_PATH="$WORK/$name.db" \
    taskset -c "$SERVER_CORE" "$@" > "$WORK/$name.ready" 2> "$WORK/$name.log" &
  PID=$!
  PIDS+=("$PID")
  for _ in $(seq 200); do [ -s "$WORK/$name.ready" ] && break; sleep 0.1; done
  UDP=127.0.0.1:$(sed 's/.*[ :]//' "$WORK/$name.ready")
  HTTP=127.0.0.1:$(sed 's/.*live on :\([0-9]*\).*/\1/' "$WORK/$name.ready")
}

load() { taskset -c "$LOAD_CORE" "$BIN/$1" "${@:2}"; }

# figures NAMES LINE: those of a line of the load.
figures() { for name in $1; do printf ' | %s' "$(grep -o " $name=[^ ]*" <<< "$2" | cut -d= -f2)"; done; }

begin full "$BIN/weightless"
FULL_HTTP=$HTTP FULL_UDP=$UDP FULL_PID=$PID
line=$(load registry fill --addr "$FULL_HTTP" --rows "$ROWS")
printf '%s rows registered one by one over 256 connections%s a second, median%s ms, p99%s ms\n' \
  "$ROWS" "$(figures per_s "$line")" "$(figures median_ms "$line")" "$(figures p99_ms "$line")" | tr -d '|'
printf 'database %s, resident %s MB\n\n' "$(du -h "$WORK/full.db" | cut -f1)" \
  "$(awk '/VmRSS/ { print int($2 / 1000) }' "/proc/$FULL_PID/status")"

printf '| search over %s rows | matches | median ms | p99 ms | worst ms |\n|---|---|---|---|---|\n' "$ROWS"
load registry search --addr "$FULL_HTTP" --rows "$ROWS" --seconds "$SECONDS_EACH" | while read -r line; do
  printf '| %s%s |\n' "$(sed 's/.*kind=\([^ ]*\).*/\1/' <<< "$line")" "$(figures 'size median_ms p99_ms worst_ms' "$line")"
done

# announces WHAT UDP PID: one line of the table.
announces() {
  line=$(load load udp-rate --no-fill --peers 100000 --torrents 10000 --seconds "$SECONDS_EACH" --addr "$2" --pid "$3" \
    2>/dev/null)
  printf '| %s%s |\n' "$1" "$(figures 'p50_us p99_us p999_us server_busy others_busy lost' "$line")"
}

# with_work HTTP COMMAND: runs it while that daemon is searched and uploaded to. The clients that do so step back for
# the one that measures.
with_work() {
  local http=$1; shift
  local work=(nice -n 19 taskset -c "$LOAD_CORE" "$BIN/registry")
  "${work[@]}" search --addr "$http" --rows "$ROWS" --seconds 600 > /dev/null 2>&1 & local searching=$!
  "${work[@]}" upload --addr "$http" --kib 2048 --seconds 600 > /dev/null 2>&1 & local uploading=$!
  sleep 1
  "$@"
  { kill "$searching" "$uploading"; wait "$searching" "$uploading" || true; } 2>/dev/null
}

printf '\n| 10 000 announces a second | p50 us | p99 us | p999 us | server busy | others busy | lost |\n'
printf '|---|---|---|---|---|---|---|\n'
begin echo "$BIN/floor" udp --seconds 600
ECHO_UDP=$UDP ECHO_PID=$PID
load load udp-fill --peers 100000 --torrents 10000 --addr "$FULL_UDP" > /dev/null
for _ in 1 2; do
  announces 'echo' "$ECHO_UDP" "$ECHO_PID"
  announces 'weightless' "$FULL_UDP" "$FULL_PID"
  with_work "$FULL_HTTP" announces 'echo beside a registry at work' "$ECHO_UDP" "$ECHO_PID"
  with_work "$FULL_HTTP" announces 'weightless, its registry at work' "$FULL_UDP" "$FULL_PID"
done
printf '\nregistry at work: one client searches, one uploads torrents of 2 MiB, both without a pause\n'
