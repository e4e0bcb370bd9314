"""A receiver of notifications on this machine, as Apprise's json:// URLs reach it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "T0KEN-of-a-receiver"  # must not be seen anywhere


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to it, by path; answers with `status`, or with `hangs` only byte by byte, without an end."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.hangs = False
        self.released = threading.Event()

    def url(self, place: str = "hook") -> str:
        return f"json://user:{TOKEN}@127.0.0.1:{self.server_port}/{place}"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for _, body in self.posted]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posted.append((self.path, body))
        if self.server.hangs:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.server.released.wait(0.2):  # no single read takes too long
                self.wfile.write(b"x")
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that runs for the block."""
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
