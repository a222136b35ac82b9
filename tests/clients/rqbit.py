"""One rqbit client (librqbit, through the module pyrqbit) without DHT: rqbit.py TORRENT FOLDER

Prints "complete" when every piece is in FOLDER, and shares it until it is killed.
"""

import random
import sys
import time

try:
    import pyrqbit
except ImportError:
    sys.exit("pyrqbit is missing: `make test` installs it, or point WL_TEST_PYTHON to a python that has it")

SECONDS = 120


def session(folder):
    """It takes a port by number only, so one is tried after the other."""
    for _ in range(20):
        try:
            return pyrqbit.Session(folder, listen_port=random.randrange(20000, 30000), disable_dht=True)
        except Exception as error:
            last = error
    sys.exit(f"rqbit finds no port: {last}")


def main():
    torrent, folder = sys.argv[1:3]
    client = session(folder)
    handle = client.add_torrent(torrent, output_folder=folder, overwrite=True)
    # What it says of its progress mixes two moments at the start; this does not.
    if not handle.wait_until_completed(SECONDS):
        sys.exit("rqbit is not complete")
    print("complete", flush=True)
    time.sleep(SECONDS)


main()
