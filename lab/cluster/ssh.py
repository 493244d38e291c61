"""An ssh daemon on a machine, and a way to it from another: a key of its own for each.

The machine's sshd takes root with that key alone, and has commands run as ones of that machine.
What calls it is the system's ssh with a configuration of ours, first on the path: `Way.environment`
is for a command that is to go that way.
"""

import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from lab.cluster import machines

_PORT: Final = 22
_PATIENCE: Final = 20.0
_PAUSE: Final = 0.02
_SSHD: Final = "/usr/sbin/sshd"


def why_not() -> str:
    """Return why there can be no ssh here, in words for a skipped test, or nothing."""
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
    missing += [] if Path(_SSHD).exists() else ["sshd"]
    return f"{', '.join(missing)} not installed" if missing else ""


class Way:
    """The way to one machine."""

    def __init__(self, machine: machines.Machine, folder: Path) -> None:
        """Start the machine's sshd; it ends with the machine. ``folder`` is for keys and logs."""
        folder.mkdir(parents=True)
        self._folder = folder
        self._machine = machine
        for name in ("host", "user"):
            line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(line, check=True, timeout=_PATIENCE)
        self._write_daemons()
        self._write_clients()
        # sshd wants an empty directory there, which is in the machine alone.
        machine.run("sh", "-ec", "mkdir -p /run/sshd")
        machine.spawn(_SSHD, "-D", "-e", "-f", folder / "sshd_config", log="sshd.log")
        deadline = time.monotonic() + _PATIENCE
        while "listening on" not in (machine.root / "sshd.log").read_text():
            if time.monotonic() > deadline:
                raise TimeoutError((machine.root / "sshd.log").read_text())
            time.sleep(_PAUSE)

    @property
    def environment(self) -> dict[str, str]:
        """What a command has in its environment that is to find the way."""
        return {"PATH": f"{self._folder / 'bin'}:{self._machine.environment['PATH']}"}

    def _write_daemons(self) -> None:
        folder, machine = self._folder, self._machine
        keys = folder / "authorized_keys"
        keys.write_text((folder / "user.pub").read_text())
        variables = " ".join(f'"{name}={value}"' for name, value in machine.variables.items())
        (folder / "sshd_config").write_text(
            f"ListenAddress {machine.address}:{_PORT}\n"
            f"HostKey {folder / 'host'}\n"
            f"PidFile {folder / 'sshd.pid'}\n"
            f"AuthorizedKeysFile {keys}\n"
            f"SetEnv {variables}\n"
            "StrictModes no\n"
            "UsePAM no\n"
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\n"
        )

    def _write_clients(self) -> None:
        folder, machine = self._folder, self._machine
        kind, key, *_ = (folder / "host.pub").read_text().split()
        (folder / "known_hosts").write_text(f"{machine.name},{machine.address} {kind} {key}\n")
        (folder / "ssh_config").write_text(
            f"IdentityFile {folder / 'user'}\n"
            "IdentitiesOnly yes\n"
            f"UserKnownHostsFile {folder / 'known_hosts'}\n"
            "StrictHostKeyChecking yes\n"
        )
        program = folder / "bin/ssh"
        program.parent.mkdir()
        real, config = shlex.quote(shutil.which("ssh") or "ssh"), folder / "ssh_config"
        program.write_text(f'#!/bin/sh\nexec {real} -F {shlex.quote(str(config))} "$@"\n')
        program.chmod(0o755)
