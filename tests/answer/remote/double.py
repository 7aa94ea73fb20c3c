"""A model server on a loopback socket, as far as both doubles are the same: it records what it is
asked, wants its key, and fails as it is told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Double:
    """Subclasses answer; each test sets what goes wrong.

    ``failures``: HTTP statuses, or ``drop`` for a connection that is closed unanswered, one for
    each of the next requests. ``dies_after``: pieces after which the connection of a stream breaks.
    ``hold``: cleared, it keeps a stream waiting after its first piece.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.key = ""
        self.failures: list[int | str] = []
        self.retry_after = ""
        self.redirect = ""
        self.dies_after: int | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.left = threading.Event()
        """Somebody went away in the midst of an answer."""
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                try:
                    body = json.loads(raw) if raw else None
                except ValueError:
                    body = raw
                asked = Asked(self.command, self.path, dict(self.headers), body)
                double.asked.append(asked)
                if not double.refuses(self):
                    double.answer(self, asked)

            do_GET = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Whoever went away is what the test is about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def last(self, path: str) -> Any:
        """The body of the last request for ``path``."""
        return next(asked.body for asked in reversed(self.asked) if asked.path == path)

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        raise NotImplementedError

    def refuses(self, handler: BaseHTTPRequestHandler) -> bool:
        if self.redirect:
            handler.send_response(307)
            handler.send_header("Location", self.redirect)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True
        if self.key and handler.headers.get("Authorization") != f"Bearer {self.key}":
            given = handler.headers.get("Authorization", "no key")
            self.error(handler, 401, f"Incorrect API key provided: {given}")
            return True
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, int):
                self.error(handler, failure, "busy for now")
            else:
                self.break_off(handler)
            return True
        return False

    def error(self, handler: BaseHTTPRequestHandler, status: int, message: str) -> None:
        self.json(handler, {"error": {"message": message, "code": status}}, status)

    def json(self, handler: BaseHTTPRequestHandler, body: Any, status: int = 200) -> None:
        self.text(handler, json.dumps(body, ensure_ascii=False), status, "application/json")

    def text(
        self, handler: BaseHTTPRequestHandler, text: str, status: int = 200, kind: str = "text/html"
    ) -> None:
        data = text.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        if status == 429 and self.retry_after:
            handler.send_header("Retry-After", self.retry_after)
        handler.end_headers()
        handler.wfile.write(data)

    def stream(self, handler: BaseHTTPRequestHandler, kind: str, parts: list[str]) -> None:
        """Send ``parts`` as they are, one chunk each, until they end or are told to break off."""
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for number, part in enumerate(parts):
                if number == self.dies_after:
                    self.break_off(handler)
                    return
                if number:
                    self.hold.wait(30)
                self._chunk(handler, part.encode())
            self._chunk(handler, b"")
        except OSError:
            handler.close_connection = True
            self.left.set()

    def break_off(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        # Zero seconds to linger: the peer sees a reset, as of a process that was killed.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    def _chunk(self, handler: BaseHTTPRequestHandler, data: bytes) -> None:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        handler.wfile.flush()
