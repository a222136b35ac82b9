"""The smallest hub that keeps the contract of hub.md. Run: python3 example_hub.py [PORT] [DATABASE]; KEY in HUB_KEY."""

import hmac
import json
import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = os.environ.get("HUB_KEY", "")  # the tracker's REGISTRY_KEY
db = sqlite3.connect(sys.argv[2] if len(sys.argv) > 2 else "hub.db", isolation_level=None)
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE IF NOT EXISTS seen (sync_id TEXT PRIMARY KEY, at INTEGER DEFAULT (unixepoch()))")
db.execute("CREATE TABLE IF NOT EXISTS usage (user TEXT PRIMARY KEY, up INTEGER, down INTEGER)")
ADD = "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET up = up + excluded.up, down = down + excluded.down"


def apply(sync_id, rows):
    """The id and all that comes under it in one transaction, or nothing; an id that was seen before has no effect."""
    with db:  # commits, or rolls back when something is raised
        db.execute("BEGIN IMMEDIATE")
        if db.execute("INSERT OR IGNORE INTO seen (sync_id) VALUES (?)", (sync_id,)).rowcount:
            db.executemany(ADD, rows)


class Hub(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status(body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def status(self, body):
        if self.path != "/api/internal/usage-sync":
            return 404
        if not hmac.compare_digest(self.headers.get("X-Weightless-Key", "").encode(), KEY.encode()):
            return 403
        try:
            batch = json.loads(body)
            rows = [(user, int(n["Uploaded"]), int(n["Downloaded"])) for user, n in batch["deltas"].items()]
            apply(str(batch["sync_id"]), rows)
        except (ValueError, KeyError, TypeError, AttributeError):
            return 400
        return 200


server = HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8090), Hub)
print(f"hub on port {server.server_port}", flush=True)
server.serve_forever()
