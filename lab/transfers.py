"""Transfers over a real node daemon: disks and dumps to move, a definition to move them with.

`Mover` speaks to one daemon as a master does: starts an import, starts the export that feeds it,
asks both how they are. `Script` is an OS definition whose scripts a test writes. `theirs` is the
other side as Ganeti has it: socat with the options of its import-export daemon.
"""

import copy
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab import nodedaemons

MAGIC: Final = "4f2c9a1b77"
PATIENCE: Final = 30.0
MIB: Final = 1024 * 1024

_CIPHERS: Final = "HIGH:-DES:-3DES:-EXPORT:-DH"


class Mover:
    """A node daemon, seen by a master who moves data; ``recorded`` is an instance as sent."""

    def __init__(self, noded: nodedaemons.Noded, recorded: Mapping[str, Any]) -> None:
        self.noded = noded
        self.root = noded.layout.root
        self.instance = copy.deepcopy(dict(recorded))
        self.instance["os"] = "mover"
        self.exports = self.root / "srv/ganeti/export"
        self.transfers = noded.layout.run_dir / "import-export"
        config = noded.layout.config_dir
        config.mkdir(parents=True, exist_ok=True)
        (config / "file-storage-paths").write_text(f"{self.root}/srv/disks\n")
        (self.root / "srv/disks").mkdir(parents=True)
        self.scripts = self.root / "srv/ganeti/os/mover"
        self.scripts.mkdir(parents=True)
        (self.scripts / "ganeti_api_version").write_text("20\n")
        (self.scripts / "parameters.list").write_text("")
        for name in ("create", "import", "export", "rename", "verify"):
            self.script(name, "exit 0")
        self.instance["disks_info"] = [self.disk("own", b"", 1)]

    def script(self, name: str, text: str) -> None:
        """Write one of the definition's scripts."""
        path = self.scripts / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def disk(self, name: str, content: bytes, mebibytes: int, **params: str) -> dict[str, Any]:
        """Make a disk; return what a master says about it. ``format`` may be qcow2."""
        path = self.root / "srv/disks" / name
        path.write_bytes(content)
        os.truncate(path, mebibytes * MIB)
        if params.get("format") == "qcow2":
            raw = path.with_suffix(".raw")
            path.rename(raw)
            subprocess.run(
                ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path],
                check=True, timeout=PATIENCE,
            )  # fmt: skip
            raw.unlink()
        described: dict[str, Any] = {
            "dev_type": "file", "logical_id": ["loop", str(path)], "size": mebibytes,
            "uuid": f"uuid-of-{name}", "iv_name": "disk/0", "mode": "rw", "params": params,
        }  # fmt: skip
        return described

    @staticmethod
    def path(disk: Mapping[str, Any]) -> Path:
        """Return where a disk is."""
        return Path(disk["logical_id"][1])

    def receive(self, kind: str, *arguments: object, **options: object) -> tuple[str, int]:
        """Start an import; return its name and port."""
        chosen = {"compress": "none", "magic": MAGIC, **options}
        name: str = self.noded.call(
            "import_start", chosen, self.instance, "disk0", [kind, arguments]
        )
        return name, self.status(name)["listen_port"]

    def send(
        self,
        port: int,
        kind: str,
        *arguments: object,
        host: str = "127.0.0.1",
        **options: object,
    ) -> str:
        """Start an export to a port of this machine; return its name."""
        chosen = {"compress": "none", "magic": MAGIC, **options}
        name: str = self.noded.call(
            "export_start", chosen, host, port, self.instance, "disk0", [kind, arguments]
        )
        return name

    def status(self, name: str) -> dict[str, Any]:
        """Return how a transfer stands, an empty mapping if it has said nothing."""
        (found,) = self.noded.call("impexp_status", [name])
        return found or {}

    def ended(self, *names: str) -> list[dict[str, Any]]:
        """Wait for transfers to end, clean up after them, and return what they said at last."""
        self.wait(
            lambda: all("exit_status" in self.status(name) for name in names), f"the end of {names}"
        )
        last = [self.status(name) for name in names]
        for name in names:
            self.noded.call("impexp_cleanup", name)
        return last

    def pid(self, name: str) -> int:
        """Return the process of a running transfer."""
        return int((self.transfers / name / "pid").read_text())

    def wait(self, holds: Any, what: str) -> None:  # noqa: ANN401 - any callable
        """Wait for a condition."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {PATIENCE} s for {what}; {self.logs()}")
            time.sleep(0.02)

    def logs(self) -> str:
        """Return what all transfers have said."""
        return "\n".join(
            f"{path.name}:\n{path.read_text()}" for path in self.noded.layout.log_dir.glob("os/*")
        )

    def processes(self) -> dict[int, str]:
        """Return the processes that have to do with this node's transfers and scripts."""
        found = {}
        mark = f"GANETI_ROOTDIR={self.root}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in {os.getpid(), self._noded_pid()}:
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if command and (mark in environment or os.fsencode(self.root) in command):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def _noded_pid(self) -> int:
        try:
            return self.noded.pid
        except ProcessLookupError:
            return 0


def their_receiver(
    certificate: Path, output: Path, *, unpack: Sequence[str] = (), magic: str = MAGIC
) -> "subprocess.Popen[bytes]":
    """Start what Ganeti runs for an import; its stderr tells the port."""
    between = f"| {' '.join(unpack)} " if unpack else ""
    word = f"M={magic}"
    line = (
        f"socat -ls -d -d -b1048576 -u OPENSSL-LISTEN:0,reuseaddr,forever,intervall=0.01,"
        f"{_options(certificate)},bind=127.0.0.1 stdout {between}| "
        f'{{ {{ read -n {len(word)} magic && test "$magic" = {word}; }} &&'
        f" dd bs=1048576 2>/dev/null; }} >{output}"
    )
    return _start(line)


def their_sender(
    certificate: Path, port: int, source: Path, *, pack: Sequence[str] = (), magic: str = MAGIC
) -> "subprocess.Popen[bytes]":
    """Start what Ganeti runs for an export."""
    between = f"| {' '.join(pack)} " if pack else ""
    line = (
        f"{{ echo -E -n M={magic} && dd bs=1048576 2>/dev/null; }} <{source} {between}| "
        f"socat -ls -d -d -b1048576 -u stdin OPENSSL:127.0.0.1:{port},connect-timeout=20,retry=10,"
        f"intervall=1,{_options(certificate)},openssl-commonname=ganeti.example.com"
    )
    return _start(line)


def port_of(receiver: "subprocess.Popen[bytes]") -> int:
    """Return the port that their receiver listens on."""
    said = receiver.stderr
    if said is not None:
        for line in said:
            if b"listening on" in line:
                return int(line.rsplit(b":", 1)[1])
    raise EOFError("socat has ended without listening")


def _options(certificate: Path) -> str:
    return (
        f"keepalive,keepidle=60,keepintvl=10,keepcnt=5,verify=1,cipher={_CIPHERS},"
        f"key={certificate},cert={certificate},cafile={certificate},pf=ipv4"
    )


def _start(line: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["bash", "-o", "errexit", "-o", "pipefail", "-c", line],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def recorded_instance() -> dict[str, Any]:
    """Return an instance as a real master sent it."""
    path = Path(__file__).parents[1] / "tests/golden/rpc/instance_os_add.json"
    found: dict[str, Any] = json.loads(path.read_bytes())[0][0]
    return found
