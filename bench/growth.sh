#!/usr/bin/env bash
# What an announce costs in small and large tables, and its latency while the table changes: half a million clients
# expire, snapshots are written, and new clients make every slice double, all in one and a half minutes.
#
#   make bench-growth             about 4 minutes, after the build
#
# The server is pinned to core SERVER_CORE (0), the load to LOAD_CORE (1).
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
SERVER_CORE=${SERVER_CORE:-0} LOAD_CORE=${LOAD_CORE:-1}
[ "$(nproc)" -gt 1 ] || { echo 'one core is not enough: server and load need one each' >&2; exit 1; }
$CARGO build --release --locked -q -p weightless
$CARGO build --release --locked -q -p weightless-bench
BIN=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
WORK=$(mktemp -d /tmp/weightless-growth.XXXXXX)
PID='' ADDR=''

stop() {
  [ -z "$PID" ] || { kill -9 "$PID"; wait "$PID" || true; } 2>/dev/null
  PID=''
}
trap 'stop; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

# begin COMMAND: starts a server pinned, and waits for the line that has its port.
begin() {
  rm -f "$WORK"/*
  env OPEN_TRACKER=true RATE_LIMIT=0 UDP_RATE_LIMIT=0 PORT=0 UDP_PORT=0 BIND=127.0.0.1 DB_PATH="$WORK/growth.db" "$@" \
    > "$WORK/ready" 2> "$WORK/log" &
  PID=$!
  for _ in $(seq 100); do [ -s "$WORK/ready" ] && break; sleep 0.1; done
  ADDR=127.0.0.1:$(sed 's/.*[ :]//' "$WORK/ready")
}

# figures NAMES LINE: those of a line of the load.
figures() { for name in $1; do printf ' | %s' "$(grep -o " $name=[^ ]*" <<< "$2" | cut -d= -f2)"; done; }

load() { taskset -c "$LOAD_CORE" "$BIN/load" "$@" --addr "$ADDR" --pid "$PID" 2>/dev/null; }

FIGURES='cpu_s_per_million fill_cpu_s_per_million bytes_per_peer others_busy'
printf '| peers, ten in a torrent | CPU-s per million | of the fill | bytes per peer | others busy |\n|---|---|---|---|---|\n'
for round in 1 2 3; do
  for peers in 10000 1000000 5000000; do
    begin taskset -c "$SERVER_CORE" "$BIN/weightless"
    printf '| %s%s |\n' $peers "$(figures "$FIGURES" "$(load udp-announce --peers $peers --torrents $((peers / 10)))")"
    stop
  done
done

FIGURES='p50_us p99_us p999_us others_busy lost'
printf '\n| 10 000 announces a second | p50 us | p99 us | p999 us | others busy | lost |\n|---|---|---|---|---|---|\n'
begin taskset -c "$SERVER_CORE" "$BIN/floor" udp --seconds 200
printf '| echo%s |\n' "$(figures "$FIGURES" "$(load udp-rate --no-fill --peers 4000000 --torrents 400000 --seconds 30)")"
stop
begin ANNOUNCE_INTERVAL=60 PEER_TTL=61 taskset -c "$SERVER_CORE" "$BIN/weightless"
load udp-fill --peers 500000 --torrents 50000 > /dev/null
line=$(load udp-rate --no-fill --peers 4000000 --torrents 400000 --seconds 85)
printf '| weightless, 500 k expiring, 700 k arriving%s |\n' "$(figures "$FIGURES" "$line")"
