#!/usr/bin/env bash
# The same work for our tracker, for others and for servers that do nothing, side by side in one run.
#
#   make bench-compare            about 6 minutes, after the builds
#   QUICK=1 make bench-compare    under 2, smaller: a first look, not for quoting
#
# Servers are pinned to core SERVER_CORE (0), the load to LOAD_CORE (1). All servers of a table are up and filled at
# the same time and take turns, ROUNDS (3) times; figures are medians, ratios are medians of the ratios within a round.
# Only rounds in which the rest of the machine was quiet count, unless there are none.
# A turn during which the rest of the machine was busy is repeated, up to RETRIES (4) times, but not after PATIENCE
# (600) seconds; the quietest one counts. NICE=-10 (as root) puts servers and load before the rest of the machine.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

CARGO=${CARGO:-cargo}
SERVER_CORE=${SERVER_CORE:-0} LOAD_CORE=${LOAD_CORE:-1} PATIENCE=${PATIENCE:-600}
if [ -n "${QUICK:-}" ]; then
  PEERS=200000 TORRENTS=20000 SINGLE=50000 ROUNDS=${ROUNDS:-1} SECONDS_EACH=${SECONDS_EACH:-1} RETRIES=${RETRIES:-0}
else
  PEERS=1000000 TORRENTS=100000 SINGLE=200000 ROUNDS=${ROUNDS:-3} SECONDS_EACH=${SECONDS_EACH:-3} RETRIES=${RETRIES:-4}
fi

OUT=$($CARGO metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
BIN=$OUT/release TOOLS=$OUT/bench-tools
WORK=$(mktemp -d /tmp/weightless-bench.XXXXXX)
chmod 755 "$WORK"
RESULTS=$WORK/results
declare -A PID UDP HTTP

PIN=(nice -n "${NICE:-0}" taskset -c)
[ "$(nproc)" -gt 1 ] || { echo 'one core is not enough: servers and load need one each' >&2; exit 1; }

say() { printf '%s\n' "$*" >&2; }

stop_all() {
  [ ${#PID[@]} -eq 0 ] || kill "${PID[@]}" 2>/dev/null || true
  [ ${#PID[@]} -eq 0 ] || wait "${PID[@]}" 2>/dev/null || true
  PID=() UDP=() HTTP=()
}
trap 'stop_all; rm -rf "$WORK"' EXIT
trap 'exit 130' INT TERM

build() {
  say '== build'
  $CARGO build --release --locked -q -p weightless
  $CARGO build --release --locked -q -p weightless-bench
  # The profile we build ours with, so that no compiler option is compared. Not --locked: the versions it pins do not
  # build with today's compiler.
  for backend in mio io-uring; do
    [ -x "$TOOLS/$backend/bin/aquatic_udp" ] && continue
    CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_PANIC=abort \
      $CARGO install -q --root "$TOOLS/$backend" --target-dir "$OUT/bench-aquatic" aquatic_udp --version 0.9.0 \
      $([ $backend = mio ] || echo --features io-uring) || say "no aquatic_udp ($backend): left out"
  done
  if ! command -v opentracker > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get install -y -qq opentracker > /dev/null || true
  fi
  command -v opentracker > /dev/null || say 'no opentracker (apt install opentracker): left out'
}

# present SERVER: whether it can be compared here.
present() {
  case $1 in
    aquatic-mio) [ -x "$TOOLS/mio/bin/aquatic_udp" ] ;;
    aquatic-uring) [ -x "$TOOLS/io-uring/bin/aquatic_udp" ] ;;
    opentracker) command -v opentracker > /dev/null && [ "$(id -u)" = 0 ] ;;
  esac
}

# line FILE PATTERN: waits for a line of a file, and prints it.
line() {
  for _ in $(seq 100); do
    grep -m1 -- "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  say "nothing like '$2' in $1:"; cat "$1" >&2; exit 1
}

# begin SERVER TORRENTS: starts it, and waits until it answers.
begin() {
  local server=$1 torrents=$2 log=$WORK/$1.log port
  local pin=("${PIN[@]}" "$SERVER_CORE")
  : > "$log"
  case $server in
    echo) "${pin[@]}" "$BIN/floor" udp --seconds 3600 > "$log" & ;;
    floor-keep) "${pin[@]}" "$BIN/floor" http --seconds 3600 > "$log" & ;;
    floor-close) "${pin[@]}" "$BIN/floor" http --close --seconds 3600 > "$log" & ;;
    weightless)
      rm -f "$WORK"/ours.db*
      OPEN_TRACKER=true RATE_LIMIT=0 UDP_RATE_LIMIT=0 PORT=0 UDP_PORT=0 DB_PATH=$WORK/ours.db \
        "${pin[@]}" "$BIN/weightless" > "$log" 2> "$log.err" & ;;
    aquatic-*)
      local backend=mio
      [ "$server" = aquatic-uring ] && backend=io-uring
      port=$("$BIN/floor" free-port)
      # Ages beyond the run, so that nothing expires in it; all else as it comes.
      "$TOOLS/$backend/bin/aquatic_udp" -p | sed -e "s/^address = \"0.0.0.0:3000\"/address = \"0.0.0.0:$port\"/" \
        -e 's/^max_connection_age = .*/max_connection_age = 3600/' -e 's/^max_peer_age = .*/max_peer_age = 7200/' > "$WORK/$server.toml"
      "${pin[@]}" "$TOOLS/$backend/bin/aquatic_udp" -c "$WORK/$server.toml" > "$log" 2>&1 & ;;
    opentracker)
      port=$("$BIN/floor" free-port)
      "$BIN/load" hashes --torrents "$torrents" > "$WORK/hashes"
      (cd "$WORK" && exec "${pin[@]}" opentracker -i 127.0.0.1 -p "$port" -P "$port" -d "$WORK" -u nobody -w hashes > "$log" 2>&1) & ;;
  esac
  PID[$server]=$!
  case $server in
    echo) UDP[$server]=$(line "$log" .) ;;
    floor-*) HTTP[$server]=$(line "$log" .) ;;
    weightless)
      port=$(line "$log" 'live on')
      HTTP[$server]=$(sed 's/.*live on :\([0-9]*\), udp :.*/\1/' <<< "$port")
      UDP[$server]=${port##*udp :} ;;
    aquatic-*) UDP[$server]=$port ;;
    opentracker) UDP[$server]=$port HTTP[$server]=$port ;;
  esac
  # Connects and white lists take a moment: until an announce is answered.
  [ -n "${UDP[$server]:-}" ] || return 0
  for _ in $(seq 50); do
    "$BIN/load" udp-announce --no-fill --peers 1 --torrents 1 --warm 0 --seconds 0.05 --addr "127.0.0.1:${UDP[$server]}" \
      2> /dev/null | grep -q ' errors=0 ' && return
    sleep 0.2
  done
  say "$server does not answer:"; cat "$log" >&2; exit 1
}

# load SERVER MODE OPTIONS: one line of figures.
load() {
  local server=$1; shift
  timeout 200 "${PIN[@]}" "$LOAD_CORE" "$BIN/load" "$@" --pid "${PID[$server]}"
}

# quietest SERVER MODE OPTIONS: `load` until nobody else was busy; the quietest line.
quietest() {
  local best='' best_busy=99 text busy
  for _ in $(seq 0 "$RETRIES"); do
    text=$(load "$@")
    busy=$(value others_busy "$text")
    if awk "BEGIN { exit !($busy < $best_busy) }"; then best=$text best_busy=$busy; fi
    if [ $SECONDS -gt "$PATIENCE" ] || awk "BEGIN { exit !($busy < 0.1) }"; then break; fi
  done
  printf '%s\n' "$best"
}

value() { grep -o " $1=[^ ]*" <<< "$2" | head -1 | cut -d= -f2 || true; }

# record TABLE SERVER ROUND LINE: every figure of a line.
record() {
  local pair
  for pair in ${4#* }; do
    printf '%s %s %s %s %s\n' "$1" "$2" "$3" "${pair%%=*}" "${pair#*=}" >> "$RESULTS"
  done
}

# median TABLE SERVER FIGURE; ratio TABLE SERVER OTHER FIGURE (- if there is none).
MIDDLE='function middle(list, n,   i, j, t) {
  if (!n) return "-"
  for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j-1] > list[j]; j--) { t = list[j]; list[j] = list[j-1]; list[j-1] = t }
  return n % 2 ? list[(n+1)/2] : (list[n/2] + list[n/2+1]) / 2
}'
median() {
  awk -v t="$1" -v s="$2" -v f="$3" "$MIDDLE"'
    $1==t && $2==s && $4==f { all[$3] = $5 } $1==t && $2==s && $4=="others_busy" && $5 < 0.15 { quiet[$3] }
    END { for (r in all) if (r in quiet) list[++n] = all[r]+0
          if (!n) for (r in all) list[++n] = all[r]+0
          print middle(list, n) }' "$RESULTS"
}
ratio() {
  awk -v t="$1" -v s="$2" -v o="$3" -v f="$4" "$MIDDLE"'
    $1==t && $4==f && $2==s { a[$3] = $5 } $1==t && $4==f && $2==o { b[$3] = $5 }
    $1==t && $4=="others_busy" && $5 < 0.15 { quiet[$2, $3] }
    END { for (r in a) if (b[r] > 0 && (s, r) in quiet && (o, r) in quiet) list[++n] = a[r] / b[r]
          if (!n) for (r in a) if (b[r] > 0) list[++n] = a[r] / b[r]
          m = middle(list, n); if (m == "-") print m; else printf "%.2f\n", m }' "$RESULTS"
}

# wakeups PID: how often its threads have slept and been woken.
wakeups() { cat /proc/"$1"/task/*/status | awk '/^voluntary_ctxt/ { n += $2 } END { print n }'; }

# What each server is while nothing happens.
idle() {
  local server before=() seconds=3
  for server in "$@"; do
    record idle "$server" 0 "x rss_mb=$(awk '/^Rss:/ { printf "%.2f", $2 * 1024 / 1e6 }' "/proc/${PID[$server]}/smaps_rollup")"
    before+=("$(wakeups "${PID[$server]}")")
  done
  sleep $seconds
  for server in "$@"; do
    record idle "$server" 0 "x wakeups=$(awk "BEGIN { printf \"%.1f\", ($(wakeups "${PID[$server]}") - ${before[0]}) / $seconds }")"
    before=("${before[@]:1}")
  done
}

# udp_rounds TABLE PEERS TORRENTS SERVERS: fill each, then turns.
udp_rounds() {
  local table=$1 peers=$2 torrents=$3 server round text; shift 3
  local size=(--peers "$peers" --torrents "$torrents")
  for server in "$@"; do
    [ "$server" = echo ] && continue
    text=$(load "$server" udp-fill --addr "127.0.0.1:${UDP[$server]}" "${size[@]}")
    say "   $server: $text"
    record "$table" "$server" 0 "$text"
  done
  for round in $(seq "$ROUNDS"); do
    for server in "$@"; do
      text=$(quietest "$server" udp-announce --no-fill --addr "127.0.0.1:${UDP[$server]}" "${size[@]}" --seconds "$SECONDS_EACH")
      say "   $round $server: $text"
      record "$table" "$server" "$round" "$text"
    done
  done
}

# rate_rounds: latencies at 10 000 a second.
rate_rounds() {
  local round server text
  for round in $(seq "$ROUNDS"); do
    for server in "$@"; do
      text=$(quietest "$server" udp-rate --no-fill --rate 10000 --addr "127.0.0.1:${UDP[$server]}" \
        --peers "$PEERS" --torrents "$TORRENTS" --seconds "$SECONDS_EACH")
      say "   $round $server: $text"
      record rate "$server" "$round" "$text"
    done
  done
}

# http_rounds TABLE OPTION SERVERS: turns over HTTP with the peers that are there.
http_rounds() {
  local table=$1 option=$2 round server text; shift 2
  for round in $(seq "$ROUNDS"); do
    for server in "$@"; do
      text=$(quietest "$server" http-announce $option --addr "127.0.0.1:${HTTP[$server]}" \
        --peers "$PEERS" --torrents "$TORRENTS" --seconds "$SECONDS_EACH")
      say "   $round $server: $text"
      record "$table" "$server" "$round" "$text"
    done
  done
}

# row TABLE SERVER FIGURES...: a line of a table. A figure with a colon is a ratio to that server; figures joined by +
# share a cell.
row() {
  local table=$1 server=$2 figure part cell cells=''; shift 2
  for figure in "$@"; do
    cell=
    for part in ${figure//+/ }; do
      case $part in
        *:*) cell+=" / $(ratio "$table" "$server" "${part#*:}" "${part%%:*}")" ;;
        *) cell+=" / $(median "$table" "$server" "$part")" ;;
      esac
    done
    cells+=" | ${cell# / }"
  done
  printf '| %s%s |\n' "$server" "$cells"
}

# table NAME TITLE HEADS FIGURES SERVERS
table() {
  local name=$1 title=$2 heads=$3 figures=$4 server; shift 4
  printf '\n%s\n\n| | %s |\n' "$title" "$heads"
  printf '|---%s|\n' "$(sed 's/[^|]*/---/g; s/^/|/' <<< "$heads")"
  for server in "$@"; do row "$name" "$server" $figures; done
}

build
TRACKERS=(weightless)
for server in aquatic-mio aquatic-uring opentracker; do present $server && TRACKERS+=($server); done
HTTP_TRACKERS=(weightless)
present opentracker && HTTP_TRACKERS+=(opentracker)

say "== $PEERS peers in $TORRENTS torrents"
for server in echo floor-keep floor-close "${TRACKERS[@]}"; do begin $server $TORRENTS; done
idle "${TRACKERS[@]}"
udp_rounds many $PEERS $TORRENTS echo "${TRACKERS[@]}"
rate_rounds echo "${TRACKERS[@]}"
http_rounds keep --keep-alive floor-keep "${HTTP_TRACKERS[@]}"
http_rounds close '' floor-close "${HTTP_TRACKERS[@]}"
stop_all
say "== $PEERS peers in one torrent"
for server in echo "${TRACKERS[@]}"; do begin $server 1; done
udp_rounds one $PEERS 1 echo "${TRACKERS[@]}"
stop_all
say "== $SINGLE torrents with one peer each"
for server in echo "${TRACKERS[@]}"; do begin $server $SINGLE; done
udp_rounds single $SINGLE $SINGLE echo "${TRACKERS[@]}"
stop_all

BUSY='server_busy+load_busy+others_busy' COST=cpu_s_per_million
UDP_HEADS='answers/s | CPU-s per million | x echo | x aquatic mio / io_uring | x opentracker | bytes per peer | bytes per torrent | fill/s | bytes/answer | server / load / others busy | errors / lost'
UDP_FIGURES="answers_per_s $COST $COST:echo $COST:aquatic-mio+$COST:aquatic-uring $COST:opentracker bytes_per_peer bytes_per_torrent fill_per_s bytes_per_answer $BUSY errors+lost"
HTTP_HEADS='answers/s | CPU-s per million | x floor | x opentracker | bytes/answer | connections opened | server / load / others busy | errors / lost'
HTTP_FIGURES="answers_per_s $COST $COST:FLOOR $COST:opentracker bytes_per_answer connections_opened $BUSY errors+lost"

printf '%s; %s; rounds: %s of %s s; Linux %s; %s\n' "$(git describe --always --dirty --abbrev=12)" \
  "${NICE:+NICE=$NICE }${QUICK:+QUICK=1 }make bench-compare" "$ROUNDS" "$SECONDS_EACH" "$(uname -r)" \
  "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores"
table many "UDP, $PEERS peers in $TORRENTS torrents" "$UDP_HEADS" "$UDP_FIGURES" echo "${TRACKERS[@]}"
table one "UDP, $PEERS peers in one torrent" "$UDP_HEADS" "$UDP_FIGURES" echo "${TRACKERS[@]}"
table single "UDP, $SINGLE torrents with one peer each" "$UDP_HEADS" "$UDP_FIGURES" echo "${TRACKERS[@]}"
table rate 'UDP at 10 000 announces a second (Poisson), µs' 'p50 | p99 | p999 | p999 x echo | others busy | lost' \
  'p50_us p99_us p999_us p999_us:echo others_busy lost' echo "${TRACKERS[@]}"
table keep 'HTTP, 64 connections kept alive' "$HTTP_HEADS" "${HTTP_FIGURES/FLOOR/floor-keep}" floor-keep "${HTTP_TRACKERS[@]}"
table close 'HTTP, one connection each, 64 at once' "$HTTP_HEADS" "${HTTP_FIGURES/FLOOR/floor-close}" floor-close "${HTTP_TRACKERS[@]}"
table idle 'Idle, empty' 'RSS MB | wake-ups/s' 'rss_mb wakeups' "${TRACKERS[@]}"
