"""How a person gets to an instance's console: the program to run on its node, or where to connect.

Made from what the master sends alone; whether the instance runs is not looked at.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import places

_USER: Final = "root"
_VNC_BASE: Final = 5900
_WAKING: Final = "pyganeti.noded.instance.waking"
"""What lets a guest that was started paused go on, and runs the rest of the command."""

_ESCAPE: Final = "0x1d"
"""Control and ], which leaves the console."""


def info(
    name: str,
    network_port: int | None,
    hvparams: hypervisors.HvParams,
    node: str,
    ssh_port: int | None,
    where: places.Places,
) -> dict[str, Any]:
    """Return Ganeti's description of a console: kind ssh, vnc, spice, or msg for none.

    Raises BadInput for what is no instance's name: a program is run with it.
    """
    instances.check_name(name)
    told: dict[str, Any] = {"instance": name}
    port = network_port or 0
    if hvparams.serial_console:
        serial = str(where.socket(name, ".serial"))
        waking = [sys.executable, "-m", _WAKING, str(where.socket(name, ".qmp")), serial]
        command = [*waking, "socat", f"STDIO,raw,echo=0,escape={_ESCAPE}", f"UNIX-CONNECT:{serial}"]
        return told | {
            "kind": "ssh",
            "host": node,
            "port": ssh_port,
            "user": _USER,
            "command": command,
        }
    if hvparams.vnc_bind_address and port > _VNC_BASE:
        return told | {
            "kind": "vnc",
            "host": hvparams.vnc_bind_address,
            "port": port,
            "display": port - _VNC_BASE,
        }
    if hvparams.spice_bind:
        return told | {"kind": "spice", "host": hvparams.spice_bind, "port": port}
    return told | {"kind": "msg", "message": f"No serial shell for instance {name}"}


def ssh_port(node: Mapping[str, Any], group: Mapping[str, Any]) -> int:
    """Return the port of a node's SSH server, which it or its group may have set."""
    for holder in (node, group):
        port = (holder.get("ndparams") or {}).get("ssh_port")
        if isinstance(port, int):
            return port
    return 22
