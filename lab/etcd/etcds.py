"""A whole etcd as a ``with`` block: one member on this machine, or one on each of several.

    with etcds.here() as etcd:
        etcd.endpoints                      # ("http://127.0.0.1:41234",)
        etcd.member.pause()

    with clusters.Cluster(3) as cluster, etcds.on(cluster.nodes) as etcd:
        etcd.leader().kill()
        etcd.start()

All of it goes with the block, also after a failure, and with the program if that is killed. What
can happen to an etcd: a member is stopped, killed, frozen (`lab.etcd.members.Member`), all of them
too; its history is compacted, its space is spent, it goes back to a snapshot.

Data lies in memory where there is room for it, so that tests do not wait for a disk; a benchmark
says where else.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Final

from lab import guarding
from lab.cluster import machines
from lab.etcd import certificates, members

LIMIT: Final = 600.0
"""How long an etcd on this machine may live at most, in seconds."""

SMALL: Final = 8 << 20
"""Room for an etcd that is to be full soon, in bytes."""

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - not for secrets, and gone with the machine
_PORTS: Final = (2379, 2380, 2381)
_FILLER: Final = "/laboratory/filler"

_BRISK: Final = ("--heartbeat-interval=20", "--election-timeout=200")
"""Milliseconds, for members who hear each other at once: after a restart no one waits long."""
_PAUSE: Final = 0.02


class Etcd:
    """A cluster of members."""

    def __init__(
        self, everybody: Sequence[members.Member], client: certificates.Files | None = None
    ) -> None:
        self.members = tuple(everybody)
        self.client = client
        """What a client has to show, None where there is no TLS."""

    @property
    def member(self) -> members.Member:
        """The first member, the only one on this machine."""
        return self.members[0]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where its clients reach it, each member once."""
        return tuple(member.endpoint for member in self.members)

    def start(self, *, wait: bool = True) -> None:
        """Start all members that do not run; unless told not to, wait until all are well."""
        for member in self.members:
            member.start(self.members, wait=False)
        if wait:
            for member in self.members:
                member.wait_well()

    def stop(self) -> None:
        """End all members in order."""
        for member in self.members:
            member.stop()

    def kill(self) -> None:
        """Kill all members."""
        for member in self.members:
            member.kill()

    def restart(self) -> None:
        """Kill all members and start them again."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all members stand still."""
        for member in self.members:
            member.pause()
        try:
            yield
        finally:
            for member in self.members:
                member.resume()

    def leader(self, *, within: float = members.PATIENCE) -> members.Member:
        """Return the member that leads, as soon as there is one."""
        deadline = time.monotonic() + within
        while True:
            for member in self.members:
                if member.pid is not None and member.leads():
                    return member
            if time.monotonic() >= deadline:
                raise TimeoutError(f"none of {self.members} leads")
            time.sleep(_PAUSE)

    # Its history and its room.

    def compact(self) -> int:
        """Have it forget everything but what is now; return up to which revision."""
        said = self.member.control("get", "/laboratory", "-w", "fields")
        revision = next(int(line.split()[-1]) for line in said.splitlines() if "Revision" in line)
        with contextlib.suppress(members.Failed):  # it is compacted up to there
            self.member.control("compact", str(revision))
        return revision

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Have its room be spent, so that it takes nothing but deletions; see `SMALL`."""
        piece = self.member.ground.directory / "filler"
        _seen(self.member, piece).write_bytes(os.urandom(1 << 20).hex().encode()[: 1 << 20])
        try:
            self._fill(piece)
            yield
        finally:
            self.empty()

    def empty(self) -> None:
        """Give back what the filling took, and have the alarm off; harmless if it was not full."""
        with contextlib.suppress(members.Failed):
            self.member.control("del", "--prefix", _FILLER)
        self.compact()
        for member in self.members:
            member.control("defrag")
        self.member.control("alarm", "disarm")
        for member in self.members:
            member.wait_well()

    def save(self, path: Path) -> None:
        """Write a snapshot into a file."""
        self.member.control("snapshot", "save", str(path))

    def restore(self, snapshot: Path) -> None:
        """Go back to a snapshot: all members are stopped, and started with what was in it."""
        self.stop()
        for member in self.members:
            member.restore(snapshot, self.members)
        self.start()

    def _fill(self, piece: Path) -> None:
        for number in range(1000):
            line = f'ETCDCTL_API=3 etcdctl --endpoints={self.member.endpoint} put "$1" <"$2"'
            done = self.member.ground.run(
                ["sh", "-c", line, "sh", f"{_FILLER}/{number}", str(piece)], members.PATIENCE
            )
            if "space exceeded" in done.stderr:
                return
            if done.returncode:
                raise members.Failed(done.stderr)
        raise members.Failed("there is too much room: make it with quota=SMALL")


@contextlib.contextmanager
def here(
    size: int = 1,
    *,
    quota: int = 0,
    tls: bool = False,
    options: Sequence[str] = (),
    directory: Path | None = None,
    limit: float = LIMIT,
) -> Iterator[Etcd]:
    """Run an etcd on this machine's loopback; ``quota`` is the bytes that it may have, 0: many.

    ``directory`` is where its data is to be, for whoever cares which disk that is.
    """
    with contextlib.ExitStack() as stack:
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        place = Path(tempfile.mkdtemp(prefix="lab-etcd-", dir=directory or memory))
        guarded = guarding.Guarded(place, limit)
        stack.callback(guarded.close)
        ground = members.Loopback(place, guarded)
        shown = client = None
        if tls:
            shown = certificates.write(place, "server", ["127.0.0.1", "localhost"])
            client = certificates.write(place, "client", ["client.example.com"])
        ports = _free_ports(3 * size)
        etcd = Etcd(
            [
                members.Member(
                    f"m{number + 1}",
                    ground,
                    (ports[3 * number], ports[3 * number + 1], ports[3 * number + 2]),
                    options=[*_BRISK, *_quota(quota), *options],
                    shown=shown,
                    client=client,
                )
                for number in range(size)
            ],
            client,
        )
        stack.callback(etcd.kill)
        etcd.start()
        yield etcd


@contextlib.contextmanager
def on(
    nodes: Sequence[machines.Machine],
    *,
    quota: int = 0,
    tls: bool = False,
    options: Sequence[str] = (),
) -> Iterator[Etcd]:
    """Run an etcd with a member on each of these machines, which have to be switched on."""
    shown = client = None
    if tls:
        place = nodes[0].place / "etcd-certificates"
        place.mkdir(exist_ok=True)
        shown = certificates.write(place, "server", [node.address for node in nodes])
        client = certificates.write(place, "client", ["client.example.com"])
    etcd = Etcd(
        [
            members.Member(
                node.port,
                members.Inside(node),
                _PORTS,
                options=[*_quota(quota), *options],
                shown=shown,
                client=client,
            )
            for node in nodes
        ],
        client,
    )
    try:
        etcd.start()
        yield etcd
    finally:
        with futures.ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(members.Member.kill, etcd.members))


def why_not() -> str:
    """Return why there can be no etcd here, in words for a skipped test, or nothing."""
    for program in (members.SERVER, members.CONTROL):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian packages etcd-server, etcd-client)"
    return ""


def _quota(limit: int) -> list[str]:
    return [f"--quota-backend-bytes={limit}"] if limit else []


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody uses just now; all are asked for before one is given back."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            listening = stack.enter_context(socket.socket())
            listening.bind((members.Loopback.address, 0))
            found.append(listening.getsockname()[1])
        return found


def _seen(member: members.Member, path: Path) -> Path:
    ground = member.ground
    return ground.machine.seen(path) if isinstance(ground, members.Inside) else path
