"""Every golden command line, as far as this machine has what it names, is one that qemu takes."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.qemu

_GOLDEN = Path(__file__).parents[3] / "golden/qemu"
_NEEDS = {
    "disk-gluster": "a Gluster server",
    "disk-rbd": "a Ceph cluster",
    "hugepages": "huge pages",
    "kernel": "a kernel",
    "spice": "a certificate for SPICE",
    "uefi-secure-q35-tpm": "a TPM program that waits",
    "usb-sound-vga": "the very USB devices",
    "vnc-tls-unix": "certificates for VNC",
}
"""What is tried elsewhere, or nowhere; the rest has to start."""


@pytest.fixture
def root(short_dir: Path) -> Path:
    for directory in (
        "run/kvm-hypervisor/ctrl",
        "run/kvm-hypervisor/pid",
        "run/kvm-hypervisor/chroot/k1.example.com",
        "run/instance-disks",
        "log/kvm",
        "lib/nvram",
        "srv",
    ):
        (short_dir / directory).mkdir(parents=True)
    for image in ("a,b.iso", "a.iso", "boot.img"):
        (short_dir / "srv" / image).write_bytes(bytes(1474560))
    for number in (0, 1):
        (short_dir / f"run/instance-disks/k1.example.com:{number}").write_bytes(bytes(1 << 20))
    return short_dir


def _line(case: str, root: Path) -> list[str]:
    text = (_GOLDEN / f"{case}.txt").read_text()
    for theirs, ours in (
        ("/var/run/ganeti", "run"),
        ("/var/log/ganeti", "log"),
        ("/var/lib/ganeti", "lib"),
        ("/srv", "srv"),
    ):
        text = text.replace(theirs, str(root / ours))
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
        words[number] = words[number].replace(
            "/usr/share/OVMF/CODE.fd", "/usr/share/OVMF/OVMF_CODE.fd"
        )
    return words


def _words(line: str) -> list[str]:
    option, _, value = line.partition(" ")
    return [option, value] if value else [option]


@pytest.mark.parametrize("case", sorted(path.stem for path in _GOLDEN.glob("*.txt")))
def test_qemu_takes_the_line(case: str, root: Path) -> None:
    if case in _NEEDS:
        pytest.skip(f"needs {_NEEDS[case]}")
    words = _line(case, root)
    if case == "uefi":
        if not Path("/usr/share/OVMF/OVMF_VARS.fd").exists():
            pytest.skip("needs OVMF (Debian package ovmf)")
        shutil.copy("/usr/share/OVMF/OVMF_VARS.fd", root / "lib/nvram/k1.example.com.fd")
    if case == "disk-qcow2":
        image = root / "run/instance-disks/k1.example.com:0"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"], check=True, timeout=20
        )
    commands = [{"execute": "qmp_capabilities"}, {"execute": "query-status"}, {"execute": "quit"}]
    password = root / "vnc"
    password.write_text("x")
    log = root / "log/kvm/k1.example.com.log"
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
