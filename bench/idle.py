"""Opens connections to a seeder and leaves them idle: idle.py HOST:PORT INFO_HASH COUNT.

Ten from each of 127.1.0.1, 127.1.0.2 and so on, because a seeder takes no more from one address. Each says its
handshake, its extension handshake and that it has nothing. Prints how many were answered in kind, then waits for the end of stdin.
"""

import os
import socket
import sys
import time

PER_ADDRESS = 10
# After a handshake with BEP 10 and BEP 6: the extension handshake {"m": {}}, and have_none.
SAID = b"\0\0\0\x09\x14\0d1:mdee" + b"\0\0\0\x01\x0f"


def handshake(info_hash, number):
    reserved = bytes([0, 0, 0, 0, 0, 0x10, 0, 0x04])
    return b"\x13BitTorrent protocol" + reserved + info_hash + b"-ID0001-%012d" % number


def opened(target, info_hash, number):
    peer = socket.socket()
    peer.bind((f"127.1.{number // PER_ADDRESS // 250}.{number // PER_ADDRESS % 250 + 1}", 0))
    peer.settimeout(10)
    peer.connect(target)
    peer.sendall(handshake(info_hash, number) + SAID)
    return peer


def is_answered(peer):
    answer = b""
    try:
        while len(answer) < 68:
            more = peer.recv(4096)
            if not more:
                return False
            answer += more
    except OSError:
        return False
    return answer.startswith(b"\x13BitTorrent protocol")


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    info_hash, count = bytes.fromhex(sys.argv[2])[:20], int(sys.argv[3])
    peers = []
    for number in range(count):
        peer = opened((host, int(port)), info_hash, number)
        if is_answered(peer):
            peers.append(peer)
    # A seeder that closes some of them again does so at once.
    time.sleep(2)
    alive = 0
    for peer in peers:
        peer.setblocking(False)
        try:
            while True:
                if not peer.recv(4096):
                    break
        except BlockingIOError:
            alive += 1
        except OSError:
            pass
    print(alive, flush=True)
    sys.stdin.read()
    os._exit(0)


main()
