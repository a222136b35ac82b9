"""libtorrent as a seeder and as a downloader, for transfer.py.

  lt.py seed ADDRESS TORRENT DIR [TORRENT DIR ...]   checks and offers complete data; prints its port, runs on
  lt.py get TORRENT DIR PEER [PEER ...]              downloads, and prints what it took as JSON

A download is timed from the session's start until everything is written, so the start of Python is not counted.
"""

import json
import os
import sys
import time

import libtorrent as lt

QUIET = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "out_enc_policy": 2,
    "in_enc_policy": 2,
    "allow_multiple_connections_per_ip": True,
}


def session(address, alerts, base):
    return lt.session({**base, **QUIET, "listen_interfaces": f"{address}:0", "alert_mask": alerts})


def torrent(file, directory):
    parameters = lt.load_torrent_file(file)
    parameters.save_path = directory
    parameters.trackers, parameters.tracker_tiers = [], []
    parameters.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
    parameters.flags |= lt.torrent_flags.disable_pex
    return parameters


def seed(address, pairs):
    ses = session(address, lt.alert.category_t.error_notification, lt.high_performance_seed())
    handles = [ses.add_torrent(torrent(*pair)) for pair in zip(pairs[::2], pairs[1::2])]
    # Without the check it would hash each piece when it is first asked for, at the cost of whoever comes first.
    while not all(handle.status().is_seeding for handle in handles):
        ses.wait_for_alert(100)
        ses.pop_alerts()
    print(ses.listen_port(), flush=True)
    while True:
        time.sleep(3600)


def get(file, directory, peers):
    # Its own defaults, but for the queue of requests, which is what its own advice for fast seeding has.
    settings = {"max_out_request_queue": lt.high_performance_seed()["max_out_request_queue"]}
    kinds = lt.alert.category_t
    alerts = kinds.status_notification | kinds.error_notification | kinds.storage_notification
    begin, cpu = time.monotonic(), time.process_time()
    ses = session("0.0.0.0", alerts, settings)
    handle = ses.add_torrent(torrent(file, directory))
    for peer in peers:
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host, int(port)))
    while True:
        ses.wait_for_alert(1000)
        for alert in ses.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                handle.flush_cache()
            elif isinstance(alert, lt.cache_flushed_alert) and handle.status().is_seeding:
                print(json.dumps({"wall": time.monotonic() - begin, "cpu": time.process_time() - cpu}), flush=True)
                # Its goodbye is not timed and writes nothing.
                os._exit(0)
            elif isinstance(alert, (lt.torrent_error_alert, lt.file_error_alert)):
                sys.exit(alert.message())


if sys.argv[1] == "seed":
    seed(sys.argv[2], sys.argv[3:])
else:
    get(sys.argv[2], sys.argv[3], sys.argv[4:])
