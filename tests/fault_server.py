"""An HTTP server on 127.0.0.1 with configurable faults, which records its requests."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Response to one request.

    Attributes:
        body: Content of the whole file; a requested range of it is sent if ``ranges`` is true.
        status: HTTP status; ranges are ignored if it is not 200.
        headers: Additional headers, which replace the server's own headers of the same name.
        ranges: True if the server supports Range.
        if_range: True if the server supports If-Range.
        shift: Number added to the first byte of a range, in the header and in the body.
        stop: Number of body bytes after which the connection breaks off.
        stall: True to keep the connection open without data, instead of closing it.
        slow: Delay before each 64 KiB (s).
        framing: End of the body: by Content-Length, by chunks, or by closing.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True
    if_range: bool = True
    shift: int = 0
    stop: int | None = None
    stall: bool = False
    slow: float = 0.0
    framing: str = "length"


@dataclass(frozen=True)
class RecordedRequest:
    """A recorded request with the status of its response."""

    path: str
    range: str | None
    if_range: str | None
    encoding: str | None
    status: int
    time: float


class FaultServer:
    """A server that sends the answers of each path in turn, and then repeats the last one.

    ``answers[path]`` has the answers; ``asked`` records the requests. A proxy's paths are URLs.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[RecordedRequest] = []
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False  # closing waits for all threads
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def ranges(self) -> list[str | None]:
        """Requested ranges, one per request."""
        return [asked.range for asked in self.asked]

    def next(self, path: str) -> Answer:
        with self._lock:
            script = self.answers.get(path, [Answer(status=404)])
            return script.pop(0) if len(script) > 1 else script[0]

    def __enter__(self) -> FaultServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        faults = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 0.5  # of a connection that is kept open and not used

            def do_GET(self) -> None:
                answer = faults.next(self.path)
                status, headers, body = _answer(answer, *self._asked()[:2])
                faults.asked.append(
                    RecordedRequest(self.path, *self._asked(), status, time.monotonic())
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self._send(answer, body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _asked(self) -> tuple[str | None, str | None, str | None]:
                get = self.headers.get
                return get("Range"), get("If-Range"), get("Accept-Encoding")

            def _send(self, answer: Answer, body: bytes) -> None:
                end = len(body) if answer.stop is None else min(answer.stop, len(body))
                for start in range(0, end, _BLOCK):
                    time.sleep(answer.slow)
                    block = body[start : min(start + _BLOCK, end)]
                    if answer.framing == "chunks":
                        block = b"%x\r\n%s\r\n" % (len(block), block)
                    self.wfile.write(block)
                if answer.stall and answer.stop is not None:
                    faults.stopped.wait(10)
                elif answer.framing == "chunks" and answer.stop is None:
                    self.wfile.write(b"0\r\n\r\n")
                if answer.framing == "closing" or answer.stop is not None:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def _answer(
    answer: Answer, asked: str | None, condition: str | None
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body by RFC 9110, with the faults of the answer."""
    status, body, headers = answer.status, answer.body, dict(answer.headers)
    same = condition in (None, headers.get("ETag"), headers.get("Last-Modified"))
    if status == 200 and asked and answer.ranges and (same or not answer.if_range):
        found = re.fullmatch(r"bytes=(\d+)-", asked)
        assert found, asked
        start = int(found[1]) + answer.shift
        if start >= len(body):
            status, body = 416, b""
            headers.setdefault("Content-Range", f"bytes */{len(answer.body)}")
        else:
            status, body = 206, body[start:]
            told = f"bytes {start}-{len(answer.body) - 1}/{len(answer.body)}"
            headers.setdefault("Content-Range", told)
    if answer.framing == "length":
        headers.setdefault("Content-Length", str(len(body)))
    elif answer.framing == "chunks":
        headers.setdefault("Transfer-Encoding", "chunked")
    else:
        headers.setdefault("Connection", "close")
    return status, headers, body
