#!/usr/bin/env python3
"""Loads torrents into libtorrent, rechecks their data and prints what came out.

    recheck.py TORRENT SAVE_PATH [TORRENT SAVE_PATH ...]

SAVE_PATH is the directory that holds the torrent's file or directory. Prints one JSON object per pair, in order:
{"torrent", "v1", "v2", "progress", "state", "error"}; "progress" is 1.0 when every piece is right. A torrent that
libtorrent refuses has "error" and no hashes. The exit code is 0 when all were judged, 3 when libtorrent is missing.
"""
import json
import sys
import time

try:
    import libtorrent as lt
except ImportError:
    print("the Python module libtorrent is missing: run `pip install libtorrent` in the environment of", sys.executable,
          file=sys.stderr)
    sys.exit(3)

TIMEOUT_S = 120


def session():
    return lt.session({
        "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
        "enable_natpmp": False, "alert_mask": lt.alert.category_t.error_notification, "active_checking": 4,
    })


def add(ses, torrent, save_path):
    """Starts the check; the data is only read, never changed, because nobody is connected."""
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = save_path
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    # Checking is all that is wanted: no announces, no web seeds.
    params.flags |= lt.torrent_flags.override_trackers | lt.torrent_flags.override_web_seeds
    params.trackers = []
    return params.ti, ses.add_torrent(params)


def judge(ses, torrent, save_path):
    report = {"torrent": torrent, "v1": None, "v2": None, "progress": 0.0, "state": None, "error": None}
    try:
        ti, handle = add(ses, torrent, save_path)
    except RuntimeError as error:
        report["error"] = str(error)
        return report
    hashes = ti.info_hashes()
    report["v1"] = str(hashes.v1) if hashes.has_v1() else None
    report["v2"] = str(hashes.v2) if hashes.has_v2() else None
    deadline = time.monotonic() + TIMEOUT_S
    status = handle.status()
    while time.monotonic() < deadline:
        status = handle.status()
        if status.errc.value() or status.is_seeding or str(status.state) in ("downloading", "finished", "seeding"):
            break
        time.sleep(0.005)
    report["state"] = str(status.state)
    report["progress"] = status.progress
    if status.errc.value():
        report["error"] = status.errc.message()
    ses.remove_torrent(handle)
    return report


def main(args):
    if not args or len(args) % 2:
        sys.exit(__doc__)
    ses = session()
    for torrent, save_path in zip(args[::2], args[1::2]):
        print(json.dumps(judge(ses, torrent, save_path)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
