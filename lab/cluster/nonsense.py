"""A node daemon that has gone mad: it takes connections as one does, and answers nonsense.

    python -m lab.cluster.nonsense 'text/to/answer'

``Machine.spawn`` starts it on a node, in the place of the node daemon, with the cluster's own
certificate. Each call is answered with the words, and status 200; nothing is done. It says in its
log that it listens, and ends with the machine, or when it is killed.
"""

import http.server
import os
import ssl
import sys
from typing import Any, Final

from pyganeti.base import paths, services

LISTENS: Final = "listens"


class _Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    words = b""

    def do_POST(self) -> None:
        """Answer whatever is asked."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.words)))
        self.end_headers()
        self.wfile.write(self.words)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the library's
        """Say nothing."""


def main(words: str) -> int:
    """Serve until killed."""
    layout = paths.Paths.from_environment(os.environ)
    _Answering.words = words.encode()
    server = http.server.ThreadingHTTPServer(("", services.port("ganeti-noded")), _Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(layout.server_certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(LISTENS, flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
