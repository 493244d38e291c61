"""Measure what the daemon's connections cost: CPU a line, memory a connection, fairness in a flood.

``python -m lab.connectionbench`` prints one line a figure. The peers are a child process that
listens on real sockets, so that their costs are not counted. Not a test: figures depend on the
machine.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from pyganeti.base import poller as pollers
from pyganeti.kvmd.watching import connection
from pyganeti.model import evidence

_PIPE = asyncio.subprocess.PIPE
_GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"},'
    b' "capabilities": ["oob"]}}\r\n'
)
_NOISE = (
    b'{"timestamp": {"seconds": 1700000000, "microseconds": 123456}, "event": "RTC_CHANGE",'
    b' "data": {"offset": 12, "qom-path": "/x"}}\r\n'
)
_SIGNAL = b'{"timestamp": {"seconds": %d, "microseconds": %06d}, "event": "STOP"}\r\n'
_FLOODS = {
    "events": _NOISE * 500,
    "garbage": b"{\n" * 8192,
    "resets": b'{"event":"RESET"}\n' * 1000,
    "unending": b"x" * 16384,
}


class Counter:
    """An owner that counts, and keeps how late each event came, in seconds."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.attached = 0
        self.statuses = 0
        self.closed = 0
        self.late: list[float] = []
        self.changed = asyncio.Event()

    def on_attached(self, _connection: connection.Connection, /) -> None:
        """Count."""
        self.attached += 1

    def on_status(self, _connection: connection.Connection, _status: str, /) -> None:
        """Count."""
        self.statuses += 1
        self.changed.set()

    def on_event(self, _connection: connection.Connection, event: evidence.QmpEvent, /) -> None:
        """Keep how late it came, unless it belongs to a flood."""
        if event.name == "STOP":
            self.late.append(time.time() - event.at)

    def on_garbage(self, _connection: connection.Connection, _reason: str, /) -> None:
        """Let it pass."""

    def on_closed(
        self, _connection: connection.Connection, _reason: connection.Reason, _detail: str, /
    ) -> None:
        """Count."""
        self.closed += 1


def _negotiate(client: socket.socket) -> None:
    client.sendall(_GREETING)
    for _ in range(3):
        request = json.loads(client.recv(4096))
        client.sendall(
            json.dumps({"return": {"status": "running"}, "id": request["id"]}).encode() + b"\n"
        )


def _serve(directory: Path, number: int, flood: str, total: int, *, signal: bool) -> None:
    """Run in the child: serve ``number`` sockets; flood all of them but the last if asked to."""
    listeners = []
    for index in range(number):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(directory / f"{index}.kvmd"))
        listener.listen(2)
        listeners.append(listener)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    clients = []
    for listener in listeners:
        client, _ = listener.accept()
        listener.close()
        _negotiate(client)
        clients.append(client)
    sys.stdin.readline()
    if flood:
        quiet = clients.pop() if signal else None
        for client in clients:
            client.settimeout(0)
        left = {client: total // len(clients) for client in clients}
        block = _FLOODS[flood]
        lines = block.count(b"\n") or 1
        cut = dict.fromkeys(clients, 0)
        next_signal = time.time() + 0.02
        while any(count > 0 for count in left.values()):
            for client in clients:
                if left[client] <= 0:
                    continue
                try:
                    sent = client.send(block[cut[client] :])
                except BlockingIOError:
                    continue
                cut[client] += sent
                if cut[client] == len(block):
                    cut[client] = 0
                    left[client] -= lines
            now = time.time()
            if quiet and now >= next_signal:
                quiet.sendall(_SIGNAL % (int(now), int(now % 1 * 1e6)))
                next_signal = now + 0.02
        for client in clients:
            client.settimeout(None)
    sys.stdin.read()


def _pss() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss in smaps_rollup")


async def _connected(
    directory: Path, poller: pollers.Poller, number: int, counter: Counter
) -> list[connection.Connection]:
    connections = []
    dirfd = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    index = 0
    while index < number:
        try:
            made = connection.Connection.open(poller, dirfd, f"{index}.kvmd", counter)
        except connection.Refused:
            await asyncio.sleep(0.001)
        else:
            connections.append(made)
            index += 1
    os.close(dirfd)
    while counter.statuses < number:
        counter.changed.clear()
        await counter.changed.wait()
    await asyncio.sleep(0.05)
    return connections


async def _flooded(flooded: list[connection.Connection], *, endless: bool) -> dict[str, float]:
    """Wait until no more lines come, or 3 s if they cannot be counted."""
    start = sum(one.ignored + one.garbage for one in flooded)
    before, wall, cpu = _pss(), time.perf_counter(), time.process_time()
    peak, seen, last = before, 0, -1
    while seen != last or seen == 0:
        last = seen
        await asyncio.sleep(0.25)
        seen = sum(one.ignored + one.garbage for one in flooded) - start
        peak = max(peak, _pss())
        if endless and time.perf_counter() - wall > 3:
            break
    return {
        "flood_lines": seen,
        "flood_cpu_us_line": (time.process_time() - cpu) / max(seen, 1) * 1e6,
        "flood_growth_kib": peak - before,
    }


async def _measure(options: argparse.Namespace, directory: Path) -> dict[str, float]:
    arguments = ["--serve", str(directory), "--number", str(options.number)]
    arguments += ["--flood", options.flood, "--total", str(options.total)]
    if options.signal:
        arguments.append("--signal")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.connectionbench", *arguments, stdin=_PIPE, stdout=_PIPE
    )
    try:
        assert child.stdout  # noqa: S101 (told to the type checker)
        await child.stdout.readline()
        counter = Counter()
        poller = pollers.Poller(asyncio.get_running_loop())
        gc.collect()
        before = _pss()
        if options.trace:
            tracemalloc.start()
        cpu = time.process_time()
        connections = await _connected(directory, poller, options.number, counter)
        used = time.process_time() - cpu
        found: dict[str, float] = {"connect_cpu_us_each": used / options.number * 1e6}
        gc.collect()
        if options.trace:
            found["traced_bytes_each"] = tracemalloc.get_traced_memory()[0] / options.number
            tracemalloc.stop()
        found["pss_kib_each"] = (_pss() - before) / options.number
        found["pss_kib"] = _pss()
        if options.flood:
            assert child.stdin  # noqa: S101 (told to the type checker)
            child.stdin.write(b"go\n")
            flooded = connections[:-1] if options.signal else connections
            found |= await _flooded(flooded, endless=options.flood in ("resets", "unending"))
            if counter.late:
                found["other_late_ms_median"] = statistics.median(counter.late) * 1e3
                found["other_late_ms_max"] = max(counter.late) * 1e3
                found["others"] = len(counter.late)
        for one in connections:
            one.close()
        poller.close()
        return found
    finally:
        child.kill()
        await child.wait()


def main() -> None:
    """Measure once with the figures asked for."""
    parser = argparse.ArgumentParser(description="what the daemon's connections cost")
    parser.add_argument("--number", type=int, default=10, help="sockets")
    parser.add_argument("--flood", choices=["", *_FLOODS], default="", help="what peers send")
    parser.add_argument("--total", type=int, default=200_000, help="lines of a flood in all")
    parser.add_argument("--signal", action="store_true", help="the last socket sends events")
    parser.add_argument("--trace", action="store_true", help="count Python's memory")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.serve:
        _serve(options.serve, options.number, options.flood, options.total, signal=options.signal)
        return
    with tempfile.TemporaryDirectory() as directory:
        for name, value in asyncio.run(_measure(options, Path(directory))).items():
            sys.stdout.write(f"{name} {value:.3f}\n")


if __name__ == "__main__":
    main()
