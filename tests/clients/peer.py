"""One libtorrent client that knows peers only from what it is given: a tracker, addresses, and with --pex its peers.

Writes one JSON object a line to stdout:
  {"event": "listening", "port": n}
  {"event": "met", "client": name, "how": [names]}   a peer that is connected, and how it was found, each once
  {"event": "checked", "complete": bool, "v1": hex|null, "v2": hex|null}  the files in --dir were hashed
  {"event": "announced", "count": n}      the tracker answered n times; a hybrid is announced once for each hash
  {"event": "refused", "message": text}   the tracker or the connection to it failed
  {"event": "complete"}                   every piece is here
  {"event": "moved", "up": n, "down": n}  payload as libtorrent will tell trackers: it adds it up once a second
  {"event": "scraped", "complete": n, "incomplete": n}   asked for once complete; a hybrid is scraped for each hash
  {"event": "scrape refused", "message": text}   the same for the scrape
  {"event": "left", "sources": [names]}   after the end of stdin: how peers were found; the last line
"""

import argparse
import json
import sys
import threading
import time

try:
    import libtorrent as lt
except ImportError:
    sys.exit("libtorrent is missing: `make test` installs it, or point WL_TEST_PYTHON to a python that has it")


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def start(args):
    session = lt.session({
        "listen_interfaces": args.listen,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        # All clients of a test share one address, which libtorrent takes for one client otherwise.
        "allow_multiple_connections_per_ip": True,
        "announce_to_all_tiers": True,
        # It asks HTTP servers on loopback for nothing but /announce otherwise, which is no way to scrape.
        "ssrf_mitigation": False,
        "stop_tracker_timeout": 2,
        "alert_mask": lt.alert.category_t.status_notification
        | lt.alert.category_t.tracker_notification
        | lt.alert.category_t.error_notification,
    })
    torrent = lt.parse_magnet_uri(args.magnet) if args.magnet else lt.load_torrent_file(args.torrent)
    torrent.save_path = args.dir
    torrent.trackers = [args.tracker] if args.tracker else []
    torrent.tracker_tiers = [0] * len(torrent.trackers)
    torrent.flags |= lt.torrent_flags.disable_dht | lt.torrent_flags.disable_lsd
    if not args.pex:
        torrent.flags |= lt.torrent_flags.disable_pex
    torrent.flags &= ~lt.torrent_flags.paused
    handle = session.add_torrent(torrent)
    if args.up:
        handle.set_upload_limit(args.up)
    for peer in args.peer:
        ip, port = peer.rsplit(":", 1)
        handle.connect_peer((ip.strip("[]"), int(port)))
    return session, handle


SOURCES = {
    lt.peer_info.tracker: "tracker",
    lt.peer_info.dht: "dht",
    lt.peer_info.pex: "pex",
    lt.peer_info.lsd: "lsd",
    lt.peer_info.resume_data: "resume_data",
}
INCOMING = 32


def note_sources(handle, seen, met):
    for peer in handle.get_peer_info():
        source = int(peer.source)
        how = {name for bit, name in SOURCES.items() if source & int(bit)}
        if source & INCOMING:
            how.add("incoming")
        seen.update(how)
        whom = (peer.ip, peer.client, tuple(sorted(how)))
        if peer.client and whom not in met:
            met.add(whom)
            say("met", client=peer.client.decode(errors="replace"), how=sorted(how))


def main():
    parser = argparse.ArgumentParser()
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--torrent")
    what.add_argument("--magnet")
    parser.add_argument("--dir", required=True)
    parser.add_argument("--tracker")
    parser.add_argument("--peer", action="append", default=[], help="address:port to connect to")
    parser.add_argument("--pex", action="store_true", help="exchange peers with peers")
    parser.add_argument("--no-scrape", action="store_true", help="ask for no counts once complete")
    parser.add_argument("--up", type=int, help="upload bytes per second")
    parser.add_argument("--listen", required=True, help="address:port, port 0 for any")
    parser.add_argument("--seconds", type=float, default=120, help="end by itself after this long")
    args = parser.parse_args()

    session, handle = start(args)
    say("listening", port=session.listen_port())
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

    deadline = time.monotonic() + args.seconds
    announced, complete, sources, met = 0, False, set(), set()
    moved = (0, 0)
    while not ended.is_set() and time.monotonic() < deadline:
        session.wait_for_alert(50)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_checked_alert):
                hashes = handle.info_hashes()
                say("checked", complete=handle.status().is_seeding,
                    v1=str(hashes.v1) if hashes.has_v1() else None,
                    v2=str(hashes.v2) if hashes.has_v2() else None)
            elif isinstance(alert, lt.tracker_reply_alert):
                announced += 1
                say("announced", count=announced)
            elif isinstance(alert, lt.scrape_reply_alert):
                say("scraped", complete=alert.complete, incomplete=alert.incomplete)
            elif isinstance(alert, lt.scrape_failed_alert):
                say("scrape refused", message=alert.message())
            elif isinstance(alert, (lt.tracker_error_alert, lt.torrent_error_alert, lt.file_error_alert)):
                say("refused", message=alert.message())
        note_sources(handle, sources, met)
        status = handle.status()
        if moved != (status.total_payload_upload, status.total_payload_download):
            moved = (status.total_payload_upload, status.total_payload_download)
            say("moved", up=moved[0], down=moved[1])
        if not complete and handle.status().is_seeding:
            complete = True
            say("complete")
            if args.tracker and not args.no_scrape:
                handle.scrape_tracker()

    # Removing the torrent tells the tracker that we leave. Destroying the session waits for that over HTTP; over UDP it
    # may end it, so the answers are waited for here, of which a hybrid gets two.
    hashes = handle.info_hashes()
    owed = (hashes.has_v1() + hashes.has_v2()) if announced else 0
    session.remove_torrent(handle)
    deadline = time.monotonic() + 2
    while owed > 0 and time.monotonic() < deadline:
        session.wait_for_alert(50)
        answers = (lt.tracker_reply_alert, lt.tracker_error_alert)
        owed -= sum(isinstance(alert, answers) for alert in session.pop_alerts())
    del handle, session
    say("left", sources=sorted(sources))


main()
