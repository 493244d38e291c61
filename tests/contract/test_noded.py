"""Debian's own node daemon (package ganeti-3.0) and ours say the same things in the same shapes."""

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lab import nodedaemons
from pyganeti.base import errors
from pyganeti.clients import claiming
from pyganeti.clients import node as clients
from pyganeti.wire import epochs, noderpc

PEER: Final = Path("/usr/share/ganeti/3.0/ganeti-noded")
USERS: Final = "gnt-admin gnt-confd gnt-daemons gnt-luxid gnt-masterd gnt-metad gnt-rapi gnt-wconfd"
GOLDEN: Final = Path(__file__).parents[1] / "golden/rpc"
VIRTUAL: Final = "/###-VIRTUAL-PATH-###,"
"""What paths begin with that Ganeti has for a node among several on one machine."""

QEMU: Final = shutil.which("qemu-system-x86_64") or ""

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.skipif(not PEER.exists(), reason="needs Debian's package ganeti-3.0"),
]


@pytest.fixture
def ours(short_dir: Path) -> Iterator[nodedaemons.Noded]:
    # Ganeti wants the root of a node among several to be named after it.
    with nodedaemons.Noded(short_dir / nodedaemons.NAME) as noded:
        noded.layout.ssconf("ssh_ports").write_text(f"{nodedaemons.NAME}=22\n")
        yield noded


@contextlib.contextmanager
def peer(ours: nodedaemons.Noded, place: Path) -> Iterator[nodedaemons.Noded]:
    """Run theirs over the same root; give something to call it by."""
    ours.kill()
    for directory in ("var/lock", "var/log/ganeti", "var/run/ganeti", "etc/ganeti"):
        (ours.layout.root / directory).mkdir(parents=True, exist_ok=True)
    for name, line in (("passwd", "{0}:x:0:0::/:/bin/false\n"), ("group", "{0}:x:0:\n")):
        users = "".join(line.format(user) for user in USERS.split())
        (place / name).write_text(Path(f"/etc/{name}").read_text() + users)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    mounts = "".join(f"mount --bind {place}/{name} /etc/{name} && " for name in ("passwd", "group"))
    flags = ["-f", "-d", "-b", "127.0.0.1", "-p", str(port)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh", str(PEER), *flags],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**ours.environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
    theirs = nodedaemons.Noded(ours.layout.root)
    theirs.port = port

    def answers() -> bool:
        assert process.poll() is None, (place / "log").read_text()
        with contextlib.suppress(OSError, errors.Failure):
            return bool(theirs.call("version") == 3_000_000)
        return False

    try:
        theirs.wait(answers, "Ganeti's node daemon")
        yield theirs
    finally:
        process.terminate()
        process.wait(nodedaemons.PATIENCE)


def shape(value: Any) -> Any:
    """Return what kinds of things there are, and where."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__


def test_a_nodes_figures_have_the_same_names_and_kinds(
    ours: nodedaemons.Noded, short_dir: Path
) -> None:
    asked: list[Any] = json.loads((GOLDEN / "node_info.json").read_bytes())[0]
    asked[0][0][1] = str(short_dir)
    asked[1][0][1]["kvm_path"] = QEMU
    said = ours.call("node_info", *asked)
    with peer(ours, short_dir) as theirs:
        expected = theirs.call("node_info", *asked)
    assert shape(said) == shape(expected)
    same = ("memory_total", "cpu_total", "cpu_dom0", "hv_version")
    assert [said[2][0][name] for name in same] == [expected[2][0][name] for name in same]
    assert said[0] == expected[0]
    assert said[1][0]["storage_size"] == expected[1][0]["storage_size"]


def test_a_verification_finds_the_same(ours: nodedaemons.Noded, short_dir: Path) -> None:
    what, cluster, hvparams = json.loads((GOLDEN / "node_verify.json").read_bytes())[0]
    hvparams["kvm"]["kvm_path"] = QEMU
    what["hvparms"] = [["cluster", "kvm", hvparams["kvm"]]]
    what["hypervisor"] = what["instancelist"] = ["kvm"]
    what |= {"vglist": None, "lvlist": "xenvg", "pvlist": ["xenvg"], "exclusive-pvs": True}
    what |= {"drbd-version": None, "drbd-list": None, "drbd-helper": "/bin/true"}
    what |= {"oob-paths": ["/bin/true", "/nowhere", "/"]}
    what["ssh-setup"] = [[["u1", nodedaemons.NAME, True, True, True]], "rsa"]
    for name in ("nodelist", "node-net-test", "master-ip"):  # not asked on the tests' machine
        del what[name]
    said = ours.call("node_verify", what, cluster, hvparams)
    what["filelist"] = [VIRTUAL + name for name in what["filelist"]]
    with peer(ours, short_dir) as theirs:
        expected = theirs.call("node_verify", what, cluster, hvparams, timeout=50)
    expected["filelist"] = {
        name.removeprefix(VIRTUAL): digest for name, digest in expected["filelist"].items()
    }
    # Our package has an OS definition of its own.
    said["oslist"] = [one for one in said["oslist"] if one[0] != "image"]
    assert shape(said) == shape(expected)
    for name in ("filelist", "client-cert", "bridges", "oob-paths", "instancelist", "vglist"):
        assert said[name] == expected[name]


def test_names_are_put_into_the_hosts_file_alike(ours: nodedaemons.Noded, short_dir: Path) -> None:
    hosts = ours.layout.root / "etc/hosts"
    steps = [
        ("add", "node2.example.com", "192.0.2.2"),
        ("add", "node3", "192.0.2.3"),
        ("add", "other.example.com", "192.0.2.2"),
        ("remove", "node3", None),
    ]
    begin = "127.0.0.1 localhost\n192.0.2.2 old old.example.com\n"
    hosts.parent.mkdir()
    hosts.write_text(begin)
    for step in steps:
        assert ours.call("etc_hosts_modify", *step) is True
    said = hosts.read_text()
    assert said == "127.0.0.1 localhost\n192.0.2.2\tother.example.com other\n"
    hosts.write_text(begin)
    environment = {**os.environ, "PYTHONPATH": str(PEER.parent)}
    program = (
        "import sys\n"
        "from ganeti.utils import nodesetup\n"
        "path = sys.argv[1]\n"
        f"for mode, host, ip in {steps!r}:\n"
        "    short = host.split('.')[0]\n"
        "    if mode == 'add':\n"
        "        nodesetup.SetEtcHostsEntry(path, ip, host, [short])\n"
        "    else:\n"
        "        nodesetup.RemoveEtcHostsEntry(path, host)\n"
        "        nodesetup.RemoveEtcHostsEntry(path, short)\n"
    )
    subprocess.run(
        ["/usr/bin/python3", "-c", program, str(hosts)], env=environment, check=True, timeout=30
    )
    assert hosts.read_text() == said


@dataclasses.dataclass(frozen=True)
class Voter:
    """A node that is another."""

    uuid: str = "u1"
    name: str = "another.example.com"
    primary_ip: str = "127.0.0.1"
    offline: bool = False


class Asking:
    """Asks one for a promise, as who is to become the master does."""

    def __init__(self, caller: clients.Caller) -> None:
        self._caller = caller

    async def promise(
        self, node: clients.Node, number: int, master: str, *, timeout: float
    ) -> None:
        arguments = [number, master]
        await self._caller.call(node.primary_ip, "master_promise", arguments, timeout=timeout)

    async def remembers(self, node: clients.Node, *, timeout: float) -> bool:
        await self._caller.call(node.primary_ip, "version", timeout=timeout)
        return self._caller.remembers(node.primary_ip)


async def test_theirs_follows_a_master_of_ours_and_remembers_none(
    ours: nodedaemons.Noded, tmp_path: Path
) -> None:
    with peer(ours, tmp_path) as theirs:
        epoch: list[epochs.Epoch] = []
        async with clients.Caller(
            theirs.context(), port=theirs.port, epoch=lambda: epoch[0] if epoch else None
        ) as caller:
            taking = claiming.Claiming(ours.layout, Asking(caller))
            epoch.append(await taking.claim([Voter()], needs_most=True))
            assert await caller.call("127.0.0.1", "version") == noderpc.PROTOCOL
            assert not caller.remembers("127.0.0.1")
    ours.start()
    async with clients.Caller(ours.context(), port=ours.port) as caller:
        taking = claiming.Claiming(ours.layout, Asking(caller))
        assert await taking.claim([Voter()], needs_most=True) == epoch[0]
        assert caller.remembers("127.0.0.1")
