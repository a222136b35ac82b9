#!/bin/sh
# A tracker, a publisher and a downloader on one machine, step by step; everything is below one temporary directory and
# goes away at the end. Usage: docs/demo.sh DIRECTORY-OF-PROGRAMS
set -eu

bin=$(cd "${1:?the directory of weightless and wl}" && pwd)
home=$(mktemp -d)
tracker='' server=''
clean() {
    trap - EXIT INT TERM
    for pid in $server $tracker; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" || true
    done
    rm -rf "$home"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || step() { printf '\n%s\n' "$1"; }
# Shows a command as it would be typed.
say() { printf '  $ %s\n' "$*"; }
indent() { sed 's/^/    /'; }
# Waits until a file has a line that matches, and prints it; gives up when the program behind it has ended.
await() {
    tries=0
    until grep -m 1 "$2" "$1" 2>/dev/null; do
        kill -0 "$3" 2>/dev/null && [ $((tries += 1)) -lt 600 ] || { cat "$1" "$1.log" >&2; exit 1; }
        sleep 0.1
    done
}

cd "$home"
# What the caller has set is for other trackers.
unset WL_TRACKER WL_USER_ID TRACKER_SECRET WL_API_KEY REGISTRY_KEY || true

step '1. A tracker with a registry, on free ports'
say weightless --port 0 --udp-port 0 --flush-interval 1
"$bin/weightless" --port 0 --udp-port 0 --bind 127.0.0.1 --db "$home/tracker.db" --flush-interval 1 >tracker 2>tracker.log &
tracker=$!
ready=$(await tracker 'live on' "$tracker")
echo "$ready" | indent
port=$(echo "$ready" | sed 's/.*live on :\([0-9]*\).*/\1/')
url=http://127.0.0.1:$port

step '2. Something to publish'
mkdir photos
for n in 1 2 3; do head -c $((n * 5000000)) /dev/urandom >"photos/photo-$n.raw"; done
say ls -l photos
ls -l photos | indent

step '3. The publisher: a torrent is made and registered, and seeded from then on'
say wl serve --tracker "$url" photos
"$bin/wl" serve --tracker "$url" --port 0 photos >server 2>server.log &
server=$!
await server '^Seeding: ' "$server" >/dev/null
indent <server.log
indent <server
hash=$(sed -n 's/^Hash: *//p' server)

step '4. Somebody else finds it and downloads it, knowing nothing but the tracker and a word'
say wl search --tracker "$url" photos
"$bin/wl" search --tracker "$url" photos | indent
say wl get --tracker "$url" -o downloads "$hash"
"$bin/wl" get --tracker "$url" --port 0 -o downloads "$hash" >got 2>got.log
cat got.log got | indent

step '5. The same bytes?'
say diff -r photos downloads/photos
diff -r photos downloads/photos
say wl verify downloads/photos.torrent downloads
"$bin/wl" verify downloads/photos.torrent downloads | indent

step '6. What the tracker counted'
say wl search --tracker "$url" --json photos
counted() { "$bin/wl" search --tracker "$url" --json photos | tr ',{}' '\n\n\n' | grep -E '^"(name|seeders|completions)":'; }
# The registry hears of downloads when the tracker writes to its disk, here every second.
tries=0
until counted | grep -q '"completions":1' || [ $((tries += 1)) -gt 50 ]; do sleep 0.1; done
counted | indent

step 'Done. The tracker and the seeder are stopped, and the directory of this demonstration is removed.'
