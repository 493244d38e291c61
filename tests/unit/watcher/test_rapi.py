"""The REST interface asked by real HTTP, with TLS and without."""

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import nodedaemons
from pyganeti.watcher import rapi

Serve = Callable[[int, bytes, bool], int]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return what has a server answer, and returns its port."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def started(status: int, body: bytes, has_tls: bool) -> int:  # noqa: FBT001 - an example
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        if has_tls:
            pem = tmp_path / "server.pem"
            pem.write_bytes(nodedaemons.cluster().server.pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return int(server.server_address[1])

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("has_tls", [True, False])
@pytest.mark.parametrize(
    ("status", "body", "answers"),
    [
        (200, b"2", True),
        (200, b"2\n", True),
        (401, b"who are you?", True),
        (200, b"3", False),
        (200, b"<html>" * 1000, False),
        (500, b"2", False),
    ],
)
def test_it_answers_if_it_says_its_version_or_asks_who_we_are(
    serve: Serve,
    status: int,
    body: bytes,
    answers: bool,  # noqa: FBT001 - an example
    has_tls: bool,  # noqa: FBT001 - an example
) -> None:
    assert rapi.answers("127.0.0.1", serve(status, body, has_tls), 5) is answers


def test_nobody_and_one_who_is_silent_do_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.getsockname()[1]
        assert not rapi.answers("127.0.0.1", number, 0.2)
    assert not rapi.answers("127.0.0.1", number, 0.2)
