#!/bin/sh
# Builds this tracker and the generator, installs what they are compared with (each only if it is not there yet), and
# compares. QUICK=1: under two minutes instead of under fifteen.
set -eu
cd "$(dirname "$0")/.."
out=${CARGO_TARGET_DIR:-target}
tools=$out/bench-tools

cargo build --release --locked -p weightless
cargo build --release --locked -p weightless-bench --bins

if [ ! -x "$tools/bin/aquatic_udp" ]; then
    # One program with both backends, for this processor as its documentation has it. Its metrics exporter is left out:
    # the version of that crate in its lock file is refused by current compilers.
    RUSTFLAGS='-C target-cpu=native' CARGO_TARGET_DIR="$tools/build" \
        cargo install aquatic_udp --version 0.9.0 --locked --root "$tools" \
        --no-default-features --features mimalloc,io-uring || echo 'aquatic_udp did not build: going on without it'
fi
if ! command -v opentracker >/dev/null; then
    apt-get install -y opentracker || echo 'opentracker is not here and could not be installed: going on without it'
fi

exec "$out/release/compare" --aquatic "$tools/bin/aquatic_udp" --opentracker "$(command -v opentracker || echo none)"
