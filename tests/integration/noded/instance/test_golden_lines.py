"""Every golden command line, as far as this machine has what it names, is one that qemu takes."""

import contextlib
import datetime as dt
import json
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import nodedaemons
from pyganeti.base import certificates

pytestmark = pytest.mark.qemu

_GOLDEN = Path(__file__).parents[3] / "golden/qemu"
_NEEDS = {
    "disk-gluster": "a Gluster server",
    "disk-iscsi": "an iSCSI target",
    "disk-rbd": "a Ceph cluster",
    "run-with": "QEMU 9.1",
}
"""What is tried elsewhere, or nowhere; the rest has to start."""

_SOURCES = {
    "/var/run/ganeti": "run",
    "/var/log/ganeti": "log",
    "/var/lib/ganeti": "lib",
    "/srv": "srv",
    "/boot/vmlinuz": "boot/vmlinuz",
    "/boot/initrd": "boot/initrd",
    "/etc/pki": "lib/pki",
    "/dev/hugepages": "run",  # any directory will do for memory
}
_OVMF = {
    "CODE.fd": ("OVMF_CODE.fd", "OVMF_VARS.fd"),
    "CODE.secboot.fd": ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"),
}


@pytest.fixture
def root(short_dir: Path) -> Path:
    for directory in (
        "run/kvm-hypervisor/ctrl",
        "run/kvm-hypervisor/pid",
        "run/kvm-hypervisor/chroot/k1.example.com",
        "run/instance-disks",
        "log/kvm",
        "lib/nvram",
        "srv/vnc",
    ):
        (short_dir / directory).mkdir(parents=True)
    for image in ("a,b.iso", "a.iso", "boot.img"):
        (short_dir / "srv" / image).write_bytes(bytes(1474560))
    (short_dir / "boot").mkdir()
    (short_dir / "boot/vmlinuz").write_bytes(_kernel())
    (short_dir / "boot/initrd.img").write_bytes(bytes(4096))
    _make_certificates(short_dir / "lib")
    for number in (0, 1):
        (short_dir / f"run/instance-disks/k1.example.com:{number}").write_bytes(bytes(1 << 20))
    return short_dir


def _kernel() -> bytes:
    """Return as much of a Linux kernel as qemu looks at: the header of its boot protocol."""
    image = bytearray(8192)
    image[0x1F1] = 1  # sectors of set-up
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x208] = b"HdrS" + b"\x04\x02"  # protocol 2.4
    image[0x211] = 1  # loaded high
    image[0x22C:0x230] = b"\xff\xff\xff\x37"  # where the initrd may end
    return bytes(image)


def _make_certificates(state: Path) -> None:
    """Have certificates for VNC and SPICE there."""
    cluster = nodedaemons.cluster().server.pem
    made = certificates.make_peer(cluster, "host", dt.datetime.now(dt.UTC))
    pki = state / "pki"
    pki.mkdir()
    (pki / "ca-cert.pem").write_bytes(made.authority)
    (pki / "server-cert.pem").write_bytes(made.certificate)
    (pki / "server-key.pem").write_bytes(made.key)
    (state / "spice-ca.pem").write_bytes(made.authority)
    (state / "spice.pem").write_bytes(made.key + made.certificate)


def _line(case: str, root: Path) -> list[str]:
    text = (_GOLDEN / f"{case}.txt").read_text()
    for theirs, ours in _SOURCES.items():
        text = text.replace(theirs, str(root / ours))
    text = text.replace("-m 2048", "-m 64")
    # Devices of the host, which are another's.
    text = "".join(line for line in text.splitlines(keepends=True) if "usb-host" not in line)
    words = [word for line in text.splitlines() for word in _words(line)]
    words = [word for word in words if word != "-daemonize"]
    for number, word in enumerate(words):
        if word.startswith("tap,"):  # a tap needs root, and is tried elsewhere
            words[number] = "user," + word.split(",")[1]
        if word.startswith("kvm") and words[number - 1] == "-accel":
            words[number] = "tcg"
        if word.startswith("driver=http") or ",file.driver=http" in word:
            name = word.split("node-name=")[1].split(",")[0]
            words[number] = f"driver=null-co,node-name={name},read-only=on"
        words[number] = words[number].replace("driver=host_device", "driver=file")
        for name, (code, _) in _OVMF.items():
            words[number] = words[number].replace(f"OVMF/{name}", f"OVMF/{code}")
        if word.startswith("addr="):
            words[number] = word.replace("port=32104", f"port={_free_port()}")
        if word.startswith("127.0.0.1:"):
            words[number] = word.replace(":26204", f":{_free_port() - 5900}")
    return words


def _words(line: str) -> list[str]:
    option, _, value = line.partition(" ")
    return [option, value] if value else [option]


@contextlib.contextmanager
def _tpm(words: list[str], root: Path) -> Iterator[None]:
    """Have a TPM there for as long as a qemu wants one."""
    if "-tpmdev" not in words:
        yield
        return
    if not shutil.which("swtpm"):
        pytest.skip("needs swtpm (Debian package swtpm)")
    path = root / "run/kvm-hypervisor/ctrl/k1.example.com.swtpm"
    state = ["--tpmstate", f"dir={root}/lib", "--ctrl", f"type=unixio,path={path}"]
    with subprocess.Popen(["swtpm", "socket", "--tpm2", "--terminate", *state]) as playing:
        try:
            deadline = time.monotonic() + 10
            while not path.exists():
                assert time.monotonic() < deadline
                time.sleep(0.005)
            yield
        finally:
            playing.kill()


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize("case", sorted(path.stem for path in _GOLDEN.glob("*.txt")))
def test_qemu_takes_the_line(case: str, root: Path) -> None:
    if case in _NEEDS:
        pytest.skip(f"needs {_NEEDS[case]}")
    words = _line(case, root)
    used = [names for names in _OVMF.values() if any(names[0] in word for word in words)]
    for code, variables in used:
        firmware = Path("/usr/share/OVMF")
        if not (firmware / code).exists():
            pytest.skip("needs OVMF (Debian package ovmf)")
        shutil.copy(firmware / variables, root / "lib/nvram/k1.example.com.fd")
    if case == "disk-qcow2":
        image = root / "run/instance-disks/k1.example.com:0"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"], check=True, timeout=20
        )
    commands = [{"execute": "qmp_capabilities"}, {"execute": "query-status"}, {"execute": "quit"}]
    password = root / "vnc"
    password.write_text("x")
    log = root / "log/kvm/k1.example.com.log"
    with _tpm(words, root):
        ended = subprocess.run(
            ["timeout", "-k", "1", "30", *words, "-qmp", "stdio"],
            input="".join(json.dumps(c) + "\n" for c in commands),
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )
    said = ended.stderr + (log.read_text() if log.exists() else "")
    assert ended.returncode == 0, f"{shlex.join(words)}\n{said}"
    assert '"status": "' in ended.stdout
