"""A server that answers the hub's client as the hub does, for one data set on disk."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """The server, with what it saw and what it does wrong.

    Args:
        root: Folder of the files, by their paths within the repository.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.root = root
        self.sent: list[tuple[str, int]] = []
        """Path and first byte of every file that was asked for."""
        self.breaks = 0
        """How many of the next answers end in the middle."""
        self.breaks_in: set[str] = set()
        """Files of which the next answer ends in the middle."""
        self.wrong: set[str] = set()
        """Files of which every byte arrives as another one."""


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(self.path.split("?")[0])
        api = "/api/datasets/DBD-research-group/BirdSet/"
        files = f"/datasets/DBD-research-group/BirdSet/resolve/{COMMIT}/"
        folder = path.removeprefix(f"{api}tree/{COMMIT}/")
        if folder != path and (self.server.root / folder).is_dir():
            self._json(self._tree(folder))
        elif path.startswith(f"{api}revision/"):
            self._json({"id": "DBD-research-group/BirdSet", "sha": COMMIT, "siblings": []})
        elif path.startswith(files) and (self.server.root / path.removeprefix(files)).is_file():
            self._file(path.removeprefix(files), body)
        else:
            self.send_error(404)

    def _tree(self, folder: str) -> list[dict[str, object]]:
        entries = []
        for file in sorted((self.server.root / folder).iterdir()):
            content = file.read_bytes()
            oid = hashlib.sha256(content).hexdigest()
            entry = {
                "type": "file",
                "oid": oid[:40],
                "size": len(content),
                "path": f"{folder}/{file.name}",
            }
            if not file.name.endswith(".json"):
                entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return entries

    def _json(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _file(self, path: str, body: bool) -> None:
        content = (self.server.root / path).read_bytes()
        if path in self.server.wrong:
            content = bytes(255 - byte for byte in content)
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not body:
            return
        self.server.sent.append((path, first))
        if self.server.breaks or path in self.server.breaks_in:
            self.server.breaks = max(self.server.breaks - 1, 0)
            self.server.breaks_in.discard(path)
            half = first + (len(content) - first) // 2
            self.wfile.write(content[first:half])
            self.close_connection = True
            return
        self.wfile.write(content[first:])


@contextmanager
def hub(root: Path) -> Iterator[Hub]:
    """Serve a folder while the context lasts."""
    server = Hub(root)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
