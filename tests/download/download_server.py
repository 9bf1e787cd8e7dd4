"""A web server on this machine that serves real files the way bad networks and bad servers do."""

import email.utils
import http.server
import threading
import time
from dataclasses import dataclass, field, replace


@dataclass
class Served:
    """A file of the server.  `steps` are changes for one request each, the first for the first; then as it stands."""

    data: bytes = b""
    status: int = 200
    etag: str | None = '"one"'
    modified: float | None = None  # seconds since 1970
    headers: dict = field(default_factory=dict)
    ranges: bool = True  # whether it serves parts of the file
    heed_if_range: bool = True  # whether a part of another version makes it serve the whole file
    announce: int | None = None  # Content-Length, where it is a lie; -1: none
    cut: int | None = None  # bytes after which it hangs up
    pause: float = 0.0  # seconds after every 1000 bytes
    steps: list = field(default_factory=list)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests = {}, []  # path -> Served; (path, its Range) in order
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *args):
        """A client that hangs up is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing is printed."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.requests.append((path, self.headers.get("Range")))
        served = self.server.files.get(path, Served(status=404, data=b"<html>not here</html>"))
        if served.steps:
            served = replace(served, **served.steps.pop(0))
        start, size = self._start(served), len(served.data)
        if start >= size and start:
            self._head(replace(served, status=416, headers={"Content-Range": f"bytes */{size}"}), 0)
            return
        if start:
            range_ = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
            served = replace(served, status=206, headers={**served.headers, **range_})
        length = size - start if served.announce is None else served.announce
        self._head(served, length)
        if self.command == "GET":
            self._body(served, start)

    def _start(self, served):
        wanted = self.headers.get("Range")
        if not wanted or not served.ranges or served.status != 200:
            return 0
        known = self.headers.get("If-Range")
        date = served.modified and email.utils.formatdate(served.modified, usegmt=True)
        if served.heed_if_range and known not in (None, served.etag, date):
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _head(self, served, length):
        self.send_response(served.status)
        if length >= 0:
            self.send_header("Content-Length", str(length))
        if served.etag:
            self.send_header("ETag", served.etag)
        if served.modified:
            self.send_header("Last-Modified", email.utils.formatdate(served.modified, usegmt=True))
        for name, value in served.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, served, start):
        stop = len(served.data) if served.cut is None else min(served.cut, len(served.data))
        for i in range(start, stop, 1000):
            self.wfile.write(served.data[i : min(i + 1000, stop)])
            time.sleep(served.pause)
