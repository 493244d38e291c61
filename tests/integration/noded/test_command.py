"""What the command's flags come to, where it listens, and what it does without any disk."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import guests, nodedaemons
from pyganeti.base import paths, processes

_PATIENCE = nodedaemons.PATIENCE
_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_COVERED = ("/usr", "/etc", "/bin", "/lib", "/lib64", "/sbin", "/root", "/home", "/opt", "/srv")
"""All that a program could want to read later: its libraries, Python's modules, settings."""

_COVER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for place in sys.argv[1:]:
    if libc.mount(b"none", place.encode(), b"tmpfs", 0, None):
        sys.exit(f"{place}: {ctypes.get_errno()}")
# What cannot be looked at: a path that leads nowhere is an answer, one in a circle is a failure.
os.symlink("var", sys.argv[-1] + "/var")
"""


@contextlib.contextmanager
def _started(
    root: Path, *flags: str, prefix: tuple[str, ...] = (), environment: dict[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """Run the daemon with these flags alone; give its pid and what it said when it was ready."""
    nodedaemons.Noded(root)  # its files
    log = root / "said"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*prefix, *nodedaemons.COMMAND, "-f", *flags],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "GANETI_ROOTDIR": str(root), "GANETI_HOSTNAME": nodedaemons.NAME}
            | (environment or {}),
            cwd=Path(__file__).parents[3],
        )
    try:
        deadline = time.monotonic() + _PATIENCE
        found = None
        while found is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
            found = re.search(r"INFO started .*\n", log.read_text())
        yield process.pid, found[0]
    finally:
        process.kill()
        process.wait(_PATIENCE)


def _unshared(*flags: str) -> tuple[str, ...]:
    if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not make a namespace")
    return ("unshare", *flags)


@pytest.mark.root
def test_it_listens_everywhere_on_the_usual_port(short_dir: Path) -> None:
    with _started(short_dir, prefix=_unshared("-n", "--")) as (_, said):
        assert "address=0.0.0.0" in said
        assert f"port={_usual_port()}" in said


@pytest.mark.root
def test_it_listens_everywhere_on_ipv6_where_the_cluster_has_that(short_dir: Path) -> None:
    layout = paths.Paths(short_dir)
    layout.state_dir.mkdir(parents=True)
    layout.ssconf("primary_ip_family").write_text("10\n")
    prefix = _unshared("-n", "--")
    with _started(short_dir, "-p", "0", prefix=prefix) as (_, said):
        assert "address=::" in said


def _usual_port() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/etc/services").read_text().splitlines():
            words = line.split()
            if words[:1] == ["ganeti-noded"]:
                return int(words[1].split("/")[0])
    return 1811


@pytest.mark.root
def test_the_services_database_may_say_another_port(short_dir: Path) -> None:
    services = short_dir / "services"
    services.write_text("ganeti-noded 19811/tcp\n")
    target = Path("/etc/services")
    if not target.exists():
        pytest.skip("this machine has no services database to stand in for")
    prefix = _unshared("-n", "-m", "--")
    mount = f'mount --bind {services} {target} && exec "$@"'
    with _started(short_dir, prefix=(*prefix, "sh", "-c", mount, "sh")) as (_, said):
        assert "port=19811" in said


def test_an_interfaces_first_address_is_listened_on(short_dir: Path) -> None:
    with _started(short_dir, "-i", "lo", "-p", "0") as (_, said):
        assert "address=127.0.0.1" in said


def test_a_key_and_a_certificate_may_lie_elsewhere(short_dir: Path) -> None:
    pem = short_dir / "own.pem"
    pem.write_bytes(nodedaemons.cluster().server.pem)
    flags = ("-K", str(pem), "-C", str(pem))
    with nodedaemons.Noded(short_dir / "root", *flags) as noded:
        noded.layout.server_certificate.unlink()
        assert noded.call("version") == 3000000


@pytest.mark.root
def test_a_node_whose_disks_are_all_gone_is_rebooted(short_dir: Path) -> None:
    """Whatever the daemon might open or load later is covered: what it needs it has already."""
    trigger = short_dir / "proc/sysrq-trigger"
    trigger.parent.mkdir()
    trigger.touch()
    prefix = _unshared("-m", "--")
    with nodedaemons.Noded(short_dir, prefix=prefix) as noded, trigger.open("rb") as pulled:
        secured = noded.context()
        places = [
            place for place in _COVERED if Path(place).is_dir() and not Path(place).is_symlink()
        ]
        inside = ("nsenter", "-t", str(noded.pid), "-m", "--", sys.executable, "-c", _COVER)
        subprocess.run([*inside, *places, str(short_dir)], check=True, timeout=_PATIENCE)
        assert Path(f"/proc/{noded.pid}/root{short_dir}/var").is_symlink()
        body = b'["kvm", {}]'
        status, said = noded.post("/node_powercycle", body, secured=secured)
        assert (status, said) == (200, b'[true,"Reboot scheduled in 5 seconds"]')
        deadline = time.monotonic() + _PATIENCE
        while pulled.read() != b"b":
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.qemu
def test_its_end_leaves_instances_alone(noded: nodedaemons.Noded) -> None:
    instance, paused, trail = json.loads((_GOLDEN / "instance_start.json").read_bytes())[0]
    disk = noded.layout.root / "disks/disk0"
    disk.parent.mkdir()
    disk.write_bytes(guests.idle())
    os.truncate(disk, 1 << 20)
    noded.layout.config_dir.mkdir(parents=True)
    (noded.layout.config_dir / "file-storage-paths").write_text(f"{disk.parent}\n")
    instance |= {"nics": []}
    instance["disks_info"][0]["logical_id"] = ["loop", str(disk)]
    instance["beparams"] |= {"maxmem": 16, "minmem": 16}
    instance["hvparams"] |= {"kvm_flag": "tcg,tb-size=8", "user_shutdown": False}
    noded.call("instance_start", instance, paused, trail)
    pid = int((noded.layout.kvm_pid_dir / instance["name"]).read_text())
    try:
        (line,) = noded.log_lines("answered", "call=instance_start")
        assert 'why_asked="gnt:client:gnt-instance start > gnt:opcode:instance_startup' in line
        began = processes.start_ticks(pid)
        assert noded.stop() == 0
        assert processes.start_ticks(pid) == began
        noded.start()
        assert noded.call("instance_list", ["kvm"], {}) == [instance["name"]]
        noded.call("instance_shutdown", instance, 0, trail)
        assert processes.state(pid) in {None, "Z"}
    finally:
        if processes.state(pid) not in {None, "Z"}:
            os.kill(pid, signal.SIGKILL)
