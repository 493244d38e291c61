"""A real ganeti-noded as a process of its own, below a private root, and a client for it.

It runs in the foreground with debug messages, on a port that the kernel chooses, with a cluster's
certificates made for the occasion, and is waited for by its own word in the log. It ends with the
``with`` block.

    with nodedaemons.Noded(root) as noded:
        assert noded.call("version") == 3000000
"""

import contextlib
import datetime as dt
import functools
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pyganeti.base import certificates, paths, tls
from pyganeti.wire import noderpc

PATIENCE: Final = 20.0
"""How long any wait here lasts unless told otherwise, in seconds."""

COMMAND: Final = (sys.executable, "-m", "pyganeti.noded.command")
NAME: Final = "node1.example.com"


class NotStarted(Exception):
    """The daemon ended before it was ready; the message is its log."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The certificates of one cluster."""

    server: certificates.Certificate
    client: certificates.Certificate


@functools.cache
def cluster(name: str = "cluster.example.com") -> Cluster:
    """Make a cluster's certificates, once a process and name: keys take their time."""
    now = dt.datetime.now(dt.UTC)
    server = certificates.make_server(now, name=name)
    return Cluster(server, certificates.make_client(server.pem, NAME, now))


@contextlib.contextmanager
def file_of(pem: bytes) -> Iterator[Path]:
    """Put a certificate into a file, for libraries that want one."""
    with tempfile.NamedTemporaryFile(prefix="pg-", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        yield Path(file.name)


def context(shown: bytes | None, authority: bytes) -> ssl.SSLContext:
    """Return what a client speaks TLS with who shows this certificate, or none."""
    with file_of(authority) as trusted:
        if shown is not None:
            with file_of(shown) as own:
                return tls.client_context(own, own, trusted)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname = False
        bare.load_verify_locations(trusted)
        return bare


class Noded:
    """One daemon, that can be killed and started again over the same root.

    ``arguments`` go to the command behind ``-f``; ``prefix`` stands before it (``prlimit …``,
    ``ip netns exec …``).
    """

    def __init__(
        self,
        root: Path,
        *arguments: str,
        of: Cluster | None = None,
        with_map: bool = True,
        with_tls: bool = True,
        prefix: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.layout = paths.Paths(root, NAME)
        self.cluster = cluster() if of is None else of
        self.arguments = arguments
        self.prefix = prefix
        self.with_tls = with_tls
        self.environment = {
            **os.environ,
            "GANETI_ROOTDIR": str(root),
            "GANETI_HOSTNAME": NAME,
            **(environment or {}),
        }
        self.log_file = root / "noded.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.layout.state_dir.mkdir(parents=True, exist_ok=True)
        self.layout.server_certificate.write_bytes(self.cluster.server.pem)
        self.layout.client_certificate.write_bytes(self.cluster.client.pem)
        if with_map:
            self.write_map(self.cluster.client.digest)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process number of the running daemon."""
        if self._process is None:
            raise ProcessLookupError("the daemon is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.log_file.read_text(errors="replace")

    def write_map(self, *digests: str) -> None:
        """Say whose certificates may call."""
        lines = "".join(f"uuid-{n}={digest}\n" for n, digest in enumerate(digests))
        new = self.layout.state_dir / "new-map"
        new.write_text(lines)
        new.replace(self.layout.ssconf("master_candidates_certs"))

    def start(self) -> Self:
        """Start it; return when it says that it is ready. Raises `NotStarted` if it ends first."""
        flags = [] if self.with_tls else ["--no-ssl"]
        # Several on one machine; behind the arguments, so that a test may say otherwise.
        flags += [] if "--metrics" in self.arguments else ["--metrics", "off"]
        line = [*self.prefix, *COMMAND, "-f", "-d", "-b", "127.0.0.1", "-p", "0"]
        self.log_file.touch()
        begin = len(self.log)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*line, *flags, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=Path(__file__).parents[1],
            )
        found: re.Match[str] | None = None

        def has_started() -> bool:
            nonlocal found
            found = re.search(r"INFO started .* port=(\d+)\n", self.log[begin:])
            if found is None and self._process is not None and self._process.poll() is not None:
                self._process = None
                raise NotStarted(self.log[begin:])
            return found is not None

        self.wait(has_started, "the daemon's start")
        if found is not None:
            self.port = int(found[1])
        return self

    def stop(self, *, within: float = PATIENCE) -> int:
        """Ask it to end, and return its exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait_end(within=within)

    def wait_end(self, *, within: float = PATIENCE) -> int:
        """Wait until it has ended; return its exit status."""
        if self._process is None:
            raise ProcessLookupError("the daemon is not running")
        status = self._process.wait(within)
        self._process = None
        return status

    def kill(self) -> None:
        """Kill -9. Harmless if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE)

    # Asking it.

    def context(self, shown: bytes | None = None) -> ssl.SSLContext | None:
        """Return what a client speaks TLS with; it shows the node's own unless told otherwise."""
        if not self.with_tls:
            return None
        return context(shown or self.cluster.client.pem, self.cluster.server.pem)

    def connect(
        self, secured: ssl.SSLContext | None = None, *, timeout: float = PATIENCE
    ) -> http.client.HTTPConnection:
        """Return a connection that is made when it is first used."""
        secured = secured or self.context()
        if secured is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=secured)

    def raw(self, *, timeout: float = PATIENCE) -> socket.socket:
        """Return a TCP connection with nothing on it yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def post(
        self,
        path: str,
        body: bytes,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        secured: ssl.SSLContext | None = None,
        timeout: float = PATIENCE,
    ) -> tuple[int, bytes]:
        """Make one request on a connection of its own; return the status and the body."""
        with contextlib.closing(self.connect(secured, timeout=timeout)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def call(self, name: str, *arguments: object, timeout: float = PATIENCE) -> Any:  # noqa: ANN401 - JSON
        """Have a call carried out; return its payload, or raise Failure with the node's words."""
        status, body = self.post(f"/{name}", noderpc.encode_arguments(arguments), timeout=timeout)
        if status != 200:
            raise AssertionError(f"HTTP {status}: {body!r}")
        return noderpc.decode_answer(body)

    def log_lines(self, *words: str) -> list[str]:
        """Return the log's lines that have all these words in them."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def wait_log(self, *words: str, within: float = PATIENCE) -> list[str]:
        """Wait until the log has a line with all these words; return those lines."""
        self.wait(lambda: bool(self.log_lines(*words)), f"{words} in the log", within)
        return self.log_lines(*words)

    def wait(
        self, holds: Callable[[], bool], what: str = "a condition", within: float = PATIENCE
    ) -> None:
        """Wait until a condition holds; raises TimeoutError with the log if it never does."""
        deadline = time.monotonic() + within
        while not holds():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"waited {within} s for {what}; the log:\n{self.log}")
            time.sleep(0.01)
