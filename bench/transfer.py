"""Transfers: wl, libtorrent and aria2 take turns over the same data, which lies in memory.

Called by transfer.sh, which says how. Every download is a process of its own, its result is compared with the data byte
for byte, and a turn during which the rest of the machine was busy is repeated. Figures are medians; ratios are medians
of the ratios of wall times within a round, above 1 where the row is faster than libtorrent. libtorrent's times begin
after Python has started; the others' with their process.
"""

import argparse
import filecmp
import http.server
import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import threading

from measure import cpu_of, memory_of, quietest, say, turn

HERE = pathlib.Path(__file__).parent
DATA = "data/data.bin"
# Longer than any turn takes that gets anywhere.
PATIENCE = 300
PIECES = {"256K": 262144, "1M": 1 << 20, "4M": 4 << 20, "16M": 16 << 20}


class Seeder:
    """A process that offers the data, at `address`."""

    def __init__(self, command, address, port=None, inside=()):
        self.process = subprocess.Popen(
            [*inside, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.pid = self.process.pid
        if port is None:
            line = self.process.stdout.readline().split()
            if not line:
                sys.exit(f"{' '.join(command)}: did not start")
            port = int(line[-1])
        else:
            wait_for(address, port)
        self.peer = f"{address}:{port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def wait_for(address, port):
    for _ in range(200):
        try:
            return socket.create_connection((address, port), 1).close()
        except OSError:
            threading.Event().wait(0.05)
    sys.exit(f"nobody listens at {address}:{port}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.wl = arguments.wl
        self.tracker = PeerList()
        self.aria2 = shutil.which("aria2c")

    # Who offers.

    def libtorrent_seeder(self, *torrents, address="127.0.0.2", inside=()):
        pairs = [word for torrent in torrents for word in (torrent, "data")]
        return Seeder([sys.executable, str(HERE / "lt.py"), "seed", address, *pairs], address, inside=inside)

    def wl_seeder(self, torrent, *flags, address="127.0.0.2"):
        return Seeder([self.wl, "seed", "-q", "--no-pex", "--port", "0", *flags, torrent, "data"], address)

    def aria2_seeder(self, torrent, address="127.0.0.2"):
        port = free_port()
        flags = ["--seed-ratio=0.0", "--bt-seed-unverified=true", f"--listen-port={port}", "-d", "data"]
        return Seeder([self.aria2, *ARIA2, *flags, torrent], address, port)

    # Who downloads: each gives a turn.

    def get(self, name, torrent, peers, beside=()):
        run = {"wl": self.wl_get, "libtorrent": self.libtorrent_get, "aria2": self.aria2_get}[name]

        def once():
            shutil.rmtree("copy", ignore_errors=True)
            os.mkdir("copy")
            result = run(torrent, peers, beside)
            if not filecmp.cmp(DATA, "copy/data.bin", shallow=False):
                sys.exit(f"{name} downloaded something else than the data of {torrent}")
            shutil.rmtree("copy")
            return result

        return quietest(once, self.arguments.retries)

    def wl_get(self, torrent, peers, beside):
        named = [word for peer in peers for word in ("--peer", peer)]
        flags = ["-q", "--no-pex", "--no-save-torrent", "--port", "0", "--timeout", "60s", "-o", "copy"]
        return turn([self.wl, "get", *flags, *named, torrent], beside, PATIENCE)

    def libtorrent_get(self, torrent, peers, beside):
        result = turn([sys.executable, str(HERE / "lt.py"), "get", torrent, "copy", *peers], beside, PATIENCE)
        return {**result, **json.loads(result["said"])}

    def aria2_get(self, torrent, peers, beside):
        self.tracker.peers = peers
        flags = ["--seed-time=0", "--file-allocation=none", f"--bt-tracker={self.tracker.url}", "-d", "copy"]
        return turn([self.aria2, *ARIA2, *flags, torrent], beside, PATIENCE)

    # Turns by rows, in rounds.

    def rounds(self, runs, rounds=None):
        results = {name: [] for name in runs}
        for number in range(rounds or self.arguments.rounds):
            for name, run in runs.items():
                result = run()
                results[name].append(result)
                figures = f"{result['wall']:.2f} s, CPU {result['cpu']:.2f} s, others {result['others']:.2f}"
                say(f"   {number + 1} {name}: {figures}")
        return results

    def rows(self, results, against, columns):
        for name, turns in results.items():
            base = results.get(against(name))
            cells = [name]
            for column in columns:
                if column.startswith("x "):
                    key = "wall" if column == "x wall" else "cpu"
                    ratios = [theirs[key] / ours[key] for ours, theirs in zip(turns, base or [])]
                    cells.append(f"{statistics.median(ratios):.2f}" if ratios else "-")
                else:
                    middle = lambda key: statistics.median(turn[key] for turn in turns)
                    cells.append(self.cell(column, middle))
            print("| " + " | ".join(cells) + " |", flush=True)

    def cell(self, column, middle):
        size = self.arguments.size
        if column == "wall":
            return f"{middle('wall'):.2f}"
        if column == "MB/s":
            return f"{size / middle('wall') / 1e6:.0f}"
        if column == "GiB":
            return f"{middle('theirs') / size * (1 << 30):.2f}"
        if column == "mib":
            return f"{middle('mib'):.0f}"
        return f"{middle(column):.2f}"

    # The tables.

    def downloads(self, count):
        say(f"== downloads from {count} libtorrent seeder(s)")
        seeders = [
            self.libtorrent_seeder("v1.torrent", "hybrid.torrent", address=f"127.0.0.{n + 2}") for n in range(count)
        ]
        pids, peers = [seeder.pid for seeder in seeders], [seeder.peer for seeder in seeders]
        runs = {}
        for kind in ("v1", "hybrid"):
            for name in ("wl", "libtorrent") + (("aria2",) if kind == "v1" and self.aria2 else ()):
                runs[f"{name} {kind}"] = lambda name=name, kind=kind: self.get(name, f"{kind}.torrent", peers, pids)
        results = self.rounds(runs)
        for seeder in seeders:
            seeder.__exit__()
        heading(
            f"Downloads from {count} libtorrent seeder{'s' * (count > 1)}, {self.what}",
            "seconds",
            "MB/s",
            "x libtorrent",
            "CPU s",
            "libtorrent's CPU x",
            "peak MiB",
            "seeders' CPU-s per GiB",
            "others busy",
        )
        self.rows(
            results,
            lambda name: "libtorrent " + name.split()[1],
            ["wall", "MB/s", "x wall", "cpu", "x cpu", "mib", "GiB", "others"],
        )

    def serving(self):
        say("== serving libtorrent")
        make = {
            "wl seed": lambda kind: self.wl_seeder(f"{kind}.torrent"),
            "libtorrent": lambda kind: self.libtorrent_seeder(f"{kind}.torrent"),
            "aria2": lambda kind: self.aria2_seeder(f"{kind}.torrent"),
        }
        seeders = {}
        for kind in ("v1", "hybrid"):
            for name, begin in make.items():
                if name != "aria2" or (self.aria2 and kind == "v1"):
                    seeders[f"{name} {kind}"] = begin(kind)
        for seeder in seeders.values():
            # What its check of the data took is not what serving takes.
            pathlib.Path(f"/proc/{seeder.pid}/clear_refs").write_text("5")
        runs = {
            name: lambda name=name, seeder=seeder: self.get(
                "libtorrent", f"{name.split()[-1]}.torrent", [seeder.peer], [seeder.pid]
            )
            for name, seeder in seeders.items()
        }
        results = self.rounds(runs)
        for name, seeder in seeders.items():
            for result in results[name]:
                result["mib"] = memory_of(seeder.pid, "VmHWM")
            seeder.__exit__()
        heading(
            f"Serving one libtorrent, {self.what}",
            "seconds",
            "MB/s",
            "x libtorrent",
            "seeder's CPU-s per GiB",
            "its peak MiB",
            "others busy",
        )
        self.rows(
            results, lambda name: "libtorrent " + name.split()[-1], ["wall", "MB/s", "x wall", "GiB", "mib", "others"]
        )

    def memory(self):
        say("== memory by piece length")
        torrents = {text: f"hybrid-{text}.torrent" for text in PIECES}
        for text, bytes_ in PIECES.items():
            self.create(torrents[text], "hybrid", bytes_)
        with self.libtorrent_seeder(*torrents.values()) as seeder:
            runs = {
                f"{name} {text}": lambda name=name, text=text: self.get(
                    name, torrents[text], [seeder.peer], [seeder.pid]
                )
                for text in PIECES
                for name in ("wl", "libtorrent")
            }
            results = self.rounds(runs, 1)
        heading(
            f"Peak memory of a download by piece length, hybrid, {self.what.split(',')[0]}",
            "peak MiB",
            "seconds",
            "CPU s",
        )
        self.rows(results, lambda name: None, ["mib", "wall", "cpu"])

    def idle(self, count=1000):
        say(f"== {count} idle peers")
        shown = json.loads(subprocess.check_output([self.wl, "show", "--json", "v1.torrent"]))
        info_hash = shown.get("v1_info_hash") or shown["info_hash"]
        with self.wl_seeder("v1.torrent", "--max-peers", str(count)) as seeder:
            before = memory_of(seeder.pid, "VmRSS")
            peers = subprocess.Popen(
                [sys.executable, str(HERE / "idle.py"), seeder.peer, info_hash, str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            alive = int(peers.stdout.readline())
            after, cpu = memory_of(seeder.pid, "VmRSS"), cpu_of(seeder.pid)
            threading.Event().wait(10)
            cpu = cpu_of(seeder.pid) - cpu
            peers.stdin.close()
            peers.wait()
        print(
            f"\n`wl seed --max-peers {count}`: {alive} idle peers connected, resident {before:.1f} MiB before, "
            f"{after:.1f} MiB with them, {cpu / 10:.3f} of a processor",
            flush=True,
        )

    def far(self):
        say("== 100 ms, 1 Gbit/s")
        size, kind = self.arguments.size, "v1"
        with self.libtorrent_seeder(f"{kind}.torrent") as libtorrent, self.wl_seeder(f"{kind}.torrent") as wl:
            ways = [
                (
                    name,
                    seeder,
                    Seeder(
                        [self.arguments.relay, "--to", seeder.peer, "--rtt-ms", "100", "--mbit", "1000"], "127.0.0.1"
                    ),
                )
                for name, seeder in (("libtorrent", libtorrent), ("wl seed", wl))
            ]
            runs = {
                f"{getter} from {name}": lambda getter=getter, seeder=seeder, way=way: self.get(
                    getter, f"{kind}.torrent", [way.peer], [seeder.pid, way.pid]
                )
                for name, seeder, way in ways
                for getter in ("wl", "libtorrent")
            }
            results = self.rounds(runs)
            for _, _, way in ways:
                way.__exit__()
        for turns in results.values():
            for result in turns:
                result["link"] = size / result["wall"] / 125e6
        heading(
            f"One peer behind a relay of 100 ms and 1 Gbit/s, {self.what}",
            "seconds",
            "MB/s",
            "of the link",
            "x libtorrent",
            "CPU s",
            "peak MiB",
            "others busy",
        )
        self.rows(
            results,
            lambda name: name.replace("wl from", "libtorrent from"),
            ["wall", "MB/s", "link", "x wall", "cpu", "mib", "others"],
        )

    def lossy(self):
        """In a network namespace, which transfer.sh calls this in: a second one, a wire between them that loses."""
        say("== 1 % loss")
        there = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep 3600"], stdout=subprocess.PIPE
        )
        there.stdout.readline()
        inside = ["nsenter", "--net", "--target", str(there.pid)]
        run = lambda text, where=(): subprocess.run([*where, *text.split()], check=True)
        run("ip link set lo up")
        run(f"ip link add wire type veth peer name wire netns {there.pid}")
        for where, address in (((), "10.9.0.1/24"), (inside, "10.9.0.2/24")):
            run(f"ip addr add {address} dev wire", where)
            # Packets as they are on a wire, so that each is lost on its own.
            run("ip link set wire gso_max_segs 1 up", where)
            run("nft add table inet loss", where)
            subprocess.run([*where, "nft", "add chain inet loss in { type filter hook input priority 0; }"], check=True)
            run("nft add rule inet loss in iif wire numgen random mod 100 < 1 drop", where)
        try:
            with self.libtorrent_seeder("v1.torrent", address="10.9.0.2", inside=inside) as seeder:
                runs = {
                    name: lambda name=name: self.get(name, "v1.torrent", [seeder.peer], [seeder.pid])
                    for name in ("wl", "libtorrent")
                }
                results = self.rounds(runs)
        finally:
            there.kill()
            there.wait()
        heading(
            f"One peer, 1 % of all packets lost each way, {self.what}",
            "seconds",
            "MB/s",
            "x libtorrent",
            "CPU s",
            "others busy",
        )
        self.rows(results, lambda name: "libtorrent", ["wall", "MB/s", "x wall", "cpu", "others"])

    # The data.

    def create(self, torrent, kind, piece_length):
        flags = [
            "-q",
            "--force",
            "--no-register",
            "--no-tracker",
            "--no-date",
            "--format",
            kind,
            "--piece-length",
            str(piece_length),
        ]
        subprocess.run([self.wl, "create", *flags, "--out", torrent, DATA], check=True, stdout=subprocess.DEVNULL)

    def prepare(self, size):
        self.arguments.size = size
        self.what = f"{size >> 20} MiB, pieces of 1 MiB"
        os.makedirs("data", exist_ok=True)
        block = os.urandom(1 << 20)
        with open(DATA, "wb") as file:
            for at in range(0, size, len(block)):
                file.write((at.to_bytes(8, "big") + block[8:])[: size - at])
        for kind in ("v1", "hybrid"):
            self.create(f"{kind}.torrent", kind, 1 << 20)


ARIA2 = [
    "--no-conf",
    "--quiet",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--disable-ipv6",
    "--bt-enable-lpd=false",
    "--enable-peer-exchange=false",
    "--allow-overwrite=true",
    "--summary-interval=0",
]


class PeerList:
    """A tracker that always knows the same peers: aria2 takes them from nowhere else."""

    def __init__(self):
        owner = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                entries = (peer.rsplit(":", 1) for peer in owner.peers)
                compact = b"".join(socket.inet_aton(host) + int(port).to_bytes(2, "big") for host, port in entries)
                body = b"d8:intervali1800e5:peers%d:%be" % (len(compact), compact)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.peers = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{server.server_port}/announce"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def heading(title, *heads):
    print(f"\n{title}\n\n| | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wl")
    parser.add_argument("relay")
    parser.add_argument("parts", nargs="+")
    parser.add_argument("--size-mib", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--retries", type=int, required=True)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = arguments.size_mib << 20
    if shutil.disk_usage(".").free < 3 * size:
        sys.exit(f"{os.getcwd()} has not the {3 * size >> 30} GiB free that this needs; set BENCH_DIR")
    bench = Bench(arguments)
    bench.prepare(size)
    parts = {
        "one": lambda: bench.downloads(1),
        "four": lambda: bench.downloads(4),
        "serving": bench.serving,
        "memory": bench.memory,
        "idle": bench.idle,
        "far": bench.far,
        "lossy": bench.lossy,
    }
    for part in arguments.parts:
        parts[part]()


main()
