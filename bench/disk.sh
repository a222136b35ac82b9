#!/usr/bin/env bash
# What the daemon writes to disk in an hour of 1 000 announces a second from 1.8 million clients (each comes back after
# half an hour), next to a tracker that deletes and inserts every client each 10 s; and how long a start takes with them.
#
#   make bench-disk               about 3 minutes, after the build; SECONDS_EACH (60) of each are measured
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo} PYTHON=${PYTHON:-python3} SECONDS_EACH=${SECONDS_EACH:-60}
PEERS=${PEERS:-1800000} TORRENTS=${TORRENTS:-180000}
$CARGO build --release --locked -q -p weightless
$CARGO build --release --locked -q -p weightless-bench
BIN=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
# On a disk: a directory in memory counts no bytes.
mkdir -p target
WORK=$(mktemp -d "${WORK_BELOW:-$PWD/target}/bench-disk.XXXXXX")
PID=''
trap '[ -z "$PID" ] || kill -9 "$PID"; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

begin() {
  rm -f "$WORK/ready"
  OPEN_TRACKER=true RATE_LIMIT=0 UDP_RATE_LIMIT=0 PORT=0 UDP_PORT=0 BIND=127.0.0.1 DB_PATH="$WORK/w.db" \
    "$BIN/weightless" > "$WORK/ready" 2> "$WORK/log" &
  PID=$!
  until [ -s "$WORK/ready" ] 2> /dev/null; do sleep 0.01; done
  ADDR=127.0.0.1:$(sed 's/.*udp ://' "$WORK/ready")
}
written() { awk '/^write_bytes/ { print $2 }' "/proc/$PID/io"; }
load() { "$BIN/load" "$@" --addr "$ADDR" --pid "$PID" --peers "$PEERS" --torrents "$TORRENTS" 2> /dev/null; }

begin
load udp-fill > /dev/null
# What the fill has changed goes to disk first.
sleep 15
before=$(written)
load udp-rate --no-fill --rate 1000 --seconds "$SECONDS_EACH" > /dev/null
ours=$(( $(written) - before ))
kill -9 "$PID"; wait "$PID" 2> /dev/null || true

begun=$(date +%s.%N)
begin
ready=$(date +%s.%N)
load udp-announce --no-fill --warm 0 --seconds 1 > "$WORK/after"
kill "$PID"; wait "$PID" || true
PID=''

theirs=$("$PYTHON" - "$WORK/them.db" "$PEERS" "$SECONDS_EACH" << 'P'
import os, sqlite3, sys, time
path, peers, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.executescript("""PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
    CREATE TABLE peers (info_hash TEXT, peer_id TEXT, addr TEXT, updated_at INTEGER, left INTEGER, downloaded INTEGER,
        uploaded INTEGER, PRIMARY KEY (info_hash, peer_id));
    CREATE INDEX idx_swarm_hash ON peers(info_hash);""")
def rows():
    for n in range(peers):
        torrent = n % (peers // 10)
        yield ("%040x" % (torrent * 0x9E3779B97F4A7C15 % (1 << 160)), "-LD0001-%012d" % n, "10.%d.%d.%d:6881" % (n >> 16 & 255, n >> 8 & 255, n & 255), 1, 1, 0, 0)
def written():
    return int(next(line for line in open("/proc/self/io") if line.startswith("write_bytes")).split()[1])
def rewrite():
    db.execute("BEGIN"); db.execute("DELETE FROM peers")
    db.executemany("INSERT INTO peers VALUES (?,?,?,?,?,?,?)", rows()); db.execute("COMMIT")
rewrite()
before = written()
rewrite()
# One rewrite every 10 s, however long it took here.
print((written() - before) * seconds // 10)
P
)
awk -v ours="$ours" -v theirs="$theirs" -v s="$SECONDS_EACH" -v start="$(awk "BEGIN { print $ready - $begun }")" -v peers="$PEERS" 'BEGIN {
  printf "| %d clients, 1 000 announces/s | GB written an hour | ratio |\n|---|---|---|\n", peers
  printf "| weightless | %.2f | %.3f |\n", ours * 3600 / s / 1e9, ours / theirs
  printf "| every client deleted and inserted each 10 s | %.2f | 1 |\n", theirs * 3600 / s / 1e9
  printf "\nstart with them, to the ready line: %.2f s\n", start }'
