"""Making and checking torrents: wl and libtorrent take turns over the same files, which lie in the page cache.

Called by create.sh, which says how. Every turn is a process of its own; a turn during which the rest of the machine was
busy is repeated. Figures are medians, ratios medians of the ratios within a round.
"""

import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time

from measure import quietest, say, turn

LIBTORRENT = """
import sys, libtorrent as lt
path, piece_length = sys.argv[1], int(sys.argv[2])
torrent = lt.create_torrent(lt.list_files(path), piece_length)
lt.set_piece_hashes(torrent, '.')
open('lt.torrent', 'wb').write(lt.bencode(torrent.generate()))
"""
def bound(seconds=1.0):
    """Bytes a second for which all processors have done SHA-1 and SHA-256 (OpenSSL), in memory, nothing else."""
    block, done = os.urandom(1 << 20), []

    def work():
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            hashlib.sha1(block).digest()
            hashlib.sha256(block).digest()
            count += 1
        done.append(count * len(block))

    threads = [threading.Thread(target=work) for _ in range(os.cpu_count())]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - begin)


def one_file(size):
    block = os.urandom(1 << 20)
    with open("big", "wb") as file:
        for at in range(0, size, len(block)):
            file.write((at.to_bytes(8, "big") + block[8:])[: size - at])
    return "big", size


def many_files(count, size):
    block = os.urandom(size)
    for index in range(count):
        directory = f"many/{index // 500:03}"
        if index % 500 == 0:
            os.makedirs(directory)
        with open(f"{directory}/{index:06}", "wb") as file:
            file.write(index.to_bytes(8, "big") + block[8:])
    return "many", count * size


def case(arguments, path, size, piece_length):
    wl, quiet = arguments.wl, ["-q", "--no-register", "--no-date", "--piece-length", str(piece_length)]
    commands = {
        "wl create": [wl, "create", *quiet, "--force", "--out", "wl.torrent", path],
        "wl verify": [wl, "verify", "-q", "wl.torrent", path],
    }
    if arguments.libtorrent:
        commands["libtorrent"] = [sys.executable, "-c", LIBTORRENT, path, str(piece_length)]
    results = {name: [] for name in commands}
    for round_number in range(arguments.rounds):
        for name, command in commands.items():
            result = quietest(lambda: turn(command), arguments.retries)
            results[name].append(result)
            say(f"   {round_number + 1} {name}: {size / result['wall'] / 1e9:.2f} GB/s, others {result['others']:.2f}")
    if arguments.libtorrent and path == "big":
        same_hashes(wl)
    print(f"\n{path}, {size / 1e9:.2f} GB, pieces of {piece_length >> 10} KiB, hybrid\n")
    print("| | GB/s | x libtorrent | CPU-s per GB | peak MiB | others busy |\n|---|---|---|---|---|---|")
    for name, turns in results.items():
        middle = lambda key: statistics.median(turn[key] for turn in turns)
        times = "-"
        if arguments.libtorrent:
            ratios = [theirs["wall"] / ours["wall"] for ours, theirs in zip(turns, results["libtorrent"])]
            times = f"{statistics.median(ratios):.2f}"
        speed, cpu = size / middle("wall") / 1e9, middle("cpu") / size * 1e9
        print(f"| {name} | {speed:.2f} | {times} | {cpu:.2f} | {middle('mib'):.0f} | {middle('others'):.2f} |")


def same_hashes(wl):
    """Both made the same torrent; for directories libtorrent 2.1.1 sorts differently."""
    shown = [subprocess.check_output([wl, "show", "--json", name]) for name in ("wl.torrent", "lt.torrent")]
    hashes = [line.split(b'"info_hash":"')[1][:64] for line in shown]
    if hashes[0] != hashes[1]:
        sys.exit("wl and libtorrent made different torrents of one file")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wl")
    parser.add_argument("--size-mib", type=int, required=True)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--retries", type=int, required=True)
    arguments = parser.parse_args()
    try:
        import libtorrent

        name = f"libtorrent {libtorrent.__version__}"
    except ImportError:
        libtorrent, name = None, "no libtorrent (make test-tools installs it): left out"
    arguments.libtorrent = libtorrent is not None
    needed = (arguments.size_mib << 20) + arguments.files * 51200
    if shutil.disk_usage(".").free < needed * 1.2:
        sys.exit(f"{os.getcwd()} has not the {needed * 1.2 / 1e9:.0f} GB free that this needs; set BENCH_DIR")
    print(f"making and checking torrents; {name}; rounds: {arguments.rounds}; {os.cpu_count()} processors; both hashes "
          f"in memory alone (OpenSSL, all processors): {bound() / 1e9:.2f} GB/s")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    say(f"== one file of {arguments.size_mib} MiB")
    path, size = one_file(arguments.size_mib << 20)
    case(arguments, path, size, 262144)
    os.remove(path)
    say(f"== {arguments.files} files of 50 KiB")
    path, size = many_files(arguments.files, 51200)
    for piece_length in (16384, 262144):
        case(arguments, path, size, piece_length)


main()
