#!/bin/sh
# Makes a Debian package of what `make build` has built, for the processor it was built on.
# usage: deb.sh OUT   (where cargo puts what it builds; the package goes to OUT/deb)
#
# The package installs and enables nothing by itself but the files: a tracker is started by whoever has read its
# settings (systemctl enable --now weightless). An update restarts one that runs.
set -eu
out=$1
command -v dpkg-deb >/dev/null || { echo 'dpkg-deb is needed: build this on Debian or one of its children' >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture)
libc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

env -u MAKEFLAGS -u MAKELEVEL make -s install OUT="$out" DESTDIR="$stage" PREFIX=/usr
gzip -9n "$stage"/usr/share/man/man*/*
mv "$stage/usr/share/doc/weightless/LICENSE" "$stage/usr/share/doc/weightless/copyright"
mkdir "$stage/DEBIAN"
cat > "$stage/DEBIAN/control" <<EOF
Package: weightless
Version: $version
Architecture: $architecture
Maintainer: the authors of Weightless <weightless@localhost>
Section: net
Priority: optional
Depends: libc6 (>= $libc), libgcc-s1
Suggests: nginx
Installed-Size: $(du -sk "$stage/usr" | cut -f1)
Description: BitTorrent tracker and data registry in one small daemon
 Tracks swarms over HTTP and UDP, keeps a registry of torrents in one SQLite
 file, and brings wl, which creates, signs, registers and verifies torrents.
EOF
cat > "$stage/DEBIAN/postinst" <<'EOF'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # Does nothing to one that does not run.
    systemctl try-restart weightless.service
fi
EOF
cat > "$stage/DEBIAN/prerm" <<'EOF'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now weightless.service
fi
EOF
chmod 755 "$stage/DEBIAN/postinst" "$stage/DEBIAN/prerm"
mkdir -p "$out/deb"
dpkg-deb --root-owner-group --build "$stage" "$out/deb/weightless_${version}_$architecture.deb"
