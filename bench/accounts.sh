#!/usr/bin/env bash
# What accounting costs: announces over UDP with passkeys (BEP 41), each with counters that have grown, next to plain ones.
#
#   make bench-accounts           about 3 minutes, after the build
#   QUICK=1 make bench-accounts   half a minute, smaller: a first look, not for quoting
#
# Two trackers are up and filled at the same time and take turns, ROUNDS (5) times; costs are CPU seconds of all threads of a
# tracker per million answers, so that what it writes to disk is in them: SECONDS_EACH (22) spans two flushes. The ratio is
# the median of those within a round. RATE announces a second, or as many as there are answers for (closed, the default).
# Servers are pinned to core SERVER_CORE (0), the load to LOAD_CORE (1). NICE=-10 (as root) puts them before the others.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo} SERVER_CORE=${SERVER_CORE:-0} LOAD_CORE=${LOAD_CORE:-1}
if [ -n "${QUICK:-}" ]; then
  PEERS=${PEERS:-100000} ROUNDS=${ROUNDS:-1} SECONDS_EACH=${SECONDS_EACH:-11}
else
  PEERS=${PEERS:-1000000} ROUNDS=${ROUNDS:-5} SECONDS_EACH=${SECONDS_EACH:-22}
fi
TORRENTS=${TORRENTS:-$((PEERS / 10))} USERS=${USERS:-10000}
[ "$(nproc)" -gt 1 ] || { echo 'one core is not enough: server and load need one each' >&2; exit 1; }
$CARGO build --release --locked -q -p weightless
$CARGO build --release --locked -q -p weightless-bench
BIN=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
# On a disk, where commits cost what they cost.
mkdir -p target
WORK=$(mktemp -d "${WORK_BELOW:-$PWD/target}/bench-accounts.XXXXXX")
declare -A PID ADDR COST
trap '[ ${#PID[@]} -eq 0 ] || kill -9 "${PID[@]}" 2> /dev/null || true; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM
SECRET=a-secret-for-the-bench

# begin NAME VARIABLES: starts a tracker pinned, and waits for the line that has its port.
begin() {
  local name=$1; shift
  env OPEN_TRACKER=true RATE_LIMIT=0 UDP_RATE_LIMIT=0 PORT=0 UDP_PORT=0 BIND=127.0.0.1 DB_PATH="$WORK/$name.db" "$@" \
    nice -n "${NICE:-0}" taskset -c "$SERVER_CORE" "$BIN/weightless" > "$WORK/$name.ready" 2> "$WORK/$name.log" &
  PID[$name]=$!
  for _ in $(seq 100); do [ -s "$WORK/$name.ready" ] && break; sleep 0.1; done
  ADDR[$name]=127.0.0.1:$(sed 's/.*udp ://' "$WORK/$name.ready")
}

# load NAME MODE OPTIONS: one line of figures.
load() {
  local name=$1 with=(); shift
  [ "$name" = plain ] || with=(--secret "$SECRET" --users "$USERS")
  nice -n "${NICE:-0}" taskset -c "$LOAD_CORE" "$BIN/load" "$@" --addr "${ADDR[$name]}" --pid "${PID[$name]}" \
    --peers "$PEERS" --torrents "$TORRENTS" "${with[@]}"
}
value() { grep -o " $1=[^ ]*" <<< "$2" | head -1 | cut -d= -f2; }

begin plain
begin passkeys TRACKER_SECRET=$SECRET
for name in plain passkeys; do load "$name" udp-fill > "$WORK/$name.fill"; done
# What the fill has changed goes to disk first.
sleep 12
printf '%s peers in %s torrents, %s users, rounds of %s s\n\n' "$PEERS" "$TORRENTS" "$USERS" "$SECONDS_EACH"
printf '| round | | CPU-s per million | answers/s | server / others busy | errors / lost |\n|---|---|---|---|---|---|\n'
for round in $(seq "$ROUNDS"); do
  for name in plain passkeys; do
    if [ -n "${RATE:-}" ]; then
      line=$(load "$name" udp-rate --no-fill --rate "$RATE" --seconds "$SECONDS_EACH")
    else
      line=$(load "$name" udp-announce --no-fill --seconds "$SECONDS_EACH")
    fi
    COST[$name]=$(value cpu_s_per_million "$line")
    printf '| %s | %s | %s | %s | %s / %s | %s / %s |\n' "$round" "$name" "${COST[$name]}" "$(value answers_per_s "$line")" \
      "$(value server_busy "$line")" "$(value others_busy "$line")" "$(value errors "$line")" "$(value lost "$line")"
  done
  awk "BEGIN { printf \"%.3f\\n\", ${COST[passkeys]} / ${COST[plain]} }" >> "$WORK/ratios"
done
printf '\npasskeys / plain: %s (median of %s)\n' "$(sort -n "$WORK/ratios" | sed -n "$(( (ROUNDS + 1) / 2 ))p")" "$(tr '\n' ' ' < "$WORK/ratios")"
printf 'memory per peer: plain %s, passkeys %s bytes\n' "$(value bytes_per_peer "$(cat "$WORK/plain.fill")")" \
  "$(value bytes_per_peer "$(cat "$WORK/passkeys.fill")")"
