"""A web server on this machine that keeps its word, or breaks it in the ways that servers do."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Answer = Callable[["Handler", "Page"], None]


@dataclass
class Page:
    """What lies at a path; `answers` are given one for each request, then `honest` ones."""

    data: bytes
    answers: list[Answer] = field(default_factory=list)
    etag: str | None = '"one"'
    modified: str | None = None
    kind: str = "application/octet-stream"


class Request(NamedTuple):
    path: str
    headers: dict[str, str]


class Server:
    """Pages by path, what was asked for, and how many bytes of bodies were sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        self.sent = 0
        self.gate = threading.Event()  # `halfway` waits for it
        self.halfway = threading.Event()
        self.lock = threading.Lock()

    def put(self, path: str, data: bytes, *answers: Answer, **about: str | None) -> str:
        """Serve data at a path; returns the address."""
        self.pages[path] = Page(data, list(answers), **about)  # type: ignore[arg-type]
        return f"http://127.0.0.1:{self.port}{path}"

    def ranges(self, path: str | None = None) -> list[str | None]:
        return [request.headers.get("range") for request in self.requests if path in (None, request.path)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hostile: Server

    def do_GET(self) -> None:
        self.close_connection = True
        page = self.hostile.pages.get(self.path)
        with self.hostile.lock:
            self.hostile.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}))
            answer = page.answers.pop(0) if page is not None and page.answers else honest
        try:
            if page is None:
                status(404)(self, Page(b""))
            else:
                answer(self, page)
        except OSError:  # the client has had enough
            pass

    def head(self, code: int, **headers: str | int | None) -> None:
        self.send_response(code)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    def body(self, data: bytes) -> None:
        for start in range(0, len(data), 4096):
            piece = data[start : start + 4096]
            self.wfile.write(piece)
            with self.hostile.lock:
                self.hostile.sent += len(piece)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def asked(self, page: Page) -> int | None:
        """Where the range asked for begins, if it is to be honoured (RFC 9110, 13.1.5)."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if found is None or (condition is not None and condition not in (page.etag, page.modified)):
            return None
        return int(found[1])


def about(page: Page) -> dict[str, str | None]:
    return {"ETag": page.etag, "Last_Modified": page.modified, "Content_Type": page.kind}


def honest(handler: Handler, page: Page) -> None:
    """What a good server does, by the book."""
    part(len(page.data))(handler, page)


def part(end: int, then: Callable[[Handler], None] = lambda handler: None) -> Answer:
    """Promise all, send up to byte `end` of the file, do `then`, end the connection."""

    def answer(handler: Handler, page: Page) -> None:
        start, size = handler.asked(page), len(page.data)
        if start is not None and start >= size:
            handler.head(416, Content_Range=f"bytes */{size}", Content_Length=0)
            return
        if start is None:
            handler.head(200, Content_Length=size, **about(page))
        else:
            span = f"bytes {start}-{size - 1}/{size}"
            handler.head(206, Content_Length=size - start, Content_Range=span, **about(page))
        handler.body(page.data[start or 0 : end])
        handler.wfile.flush()
        then(handler)

    return answer


def halfway(handler: Handler, page: Page) -> None:
    """Send half, wait for the gate, send the rest."""
    half = len(page.data) // 2
    handler.head(200, Content_Length=len(page.data), **about(page))
    handler.body(page.data[:half])
    handler.wfile.flush()
    handler.hostile.halfway.set()
    handler.hostile.gate.wait(20)
    handler.body(page.data[half:])


def stalls_at(end: int) -> Answer:
    """Send some, then nothing, with the connection left open."""
    return part(end, lambda handler: bool(handler.hostile.gate.wait(5)))  # type: ignore[arg-type,return-value]


def status(code: int, **headers: str | int) -> Answer:
    return lambda handler, page: handler.head(code, Content_Length=0, **headers)


def bare(code: int, data: bytes | None = None, **headers: str | int | None) -> Answer:
    """These headers and no others, then this body (else the page's)."""

    def answer(handler: Handler, page: Page) -> None:
        handler.head(code, **headers)
        handler.body(page.data if data is None else data)

    return answer


def ignores_ranges(handler: Handler, page: Page) -> None:
    handler.head(200, Content_Length=len(page.data), **about(page))
    handler.body(page.data)


def chunked(handler: Handler, page: Page, *, whole: bool = True) -> None:
    handler.head(200, Transfer_Encoding="chunked", **about(page))
    for start in range(0, len(page.data), 1000):
        piece = page.data[start : start + 1000]
        handler.wfile.write(b"%x\r\n" % len(piece))
        handler.body(piece)
        handler.wfile.write(b"\r\n")
    if whole:
        handler.wfile.write(b"0\r\n\r\n")


def chunked_cut(handler: Handler, page: Page) -> None:
    chunked(handler, page, whole=False)


def rude(handler: Handler, page: Page) -> None:
    """Close without a word."""


def babble(handler: Handler, page: Page) -> None:
    handler.wfile.write(b"\x00\xffwhat?\r\n\r\n")


@contextmanager
def serving() -> Iterator[Server]:
    class Own(Handler):
        pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    http.daemon_threads = False  # so that closing waits for them
    Own.hostile = server = Server(http.server_address[1])
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        http.shutdown()
        http.server_close()
        thread.join()
