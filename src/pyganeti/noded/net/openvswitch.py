"""NICs on an Open vSwitch: the tap becomes a port, by the switch's own command.

The switch keeps its ports in a database of its own, where one stays when its tap has gone: `forget`
removes it. The address of the database is the switch's default.
"""

import shutil
from typing import Final

from pyganeti.base import errors, runner
from pyganeti.noded.net import nic as nics

_COMMAND: Final = "ovs-vsctl"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT: Final = 20.0
_NO_SUCH_BRIDGE: Final = 2
"""What `br-exists` exits with."""


async def make(name: str, uplink: str | None) -> None:
    """Have a switch of that name, with an interface as a port of it; all in one transaction.

    What is there already stays. Raises BadInput for names that no interface has, Unavailable if
    the switch's command is missing or fails.
    """
    _judge(await _run(*making(name, uplink)), "add-br")


def making(name: str, uplink: str | None) -> list[str]:
    """Return the words that say so; raises BadInput for names that no interface has."""
    for interface in (name, uplink):
        if interface is not None and not nics.is_interface_name(interface):
            raise errors.BadInput(f"{interface!r} is not the name of an interface")
    port = [] if uplink is None else ["--", "--may-exist", "add-port", name, uplink]
    return ["--may-exist", "add-br", name, *port]


async def check(nic: nics.Nic) -> None:
    """Raise BadInput if there is no such switch, Unavailable if there is none at all."""
    finished = await _run("br-exists", nic.link)
    if finished.status == _NO_SUCH_BRIDGE:
        raise errors.BadInput(
            f"there is no Open vSwitch {nic.link} on this node (NIC {nic.index} of {nic.instance})"
        )
    _judge(finished, "br-exists")


async def attach(nic: nics.Nic, tap: str) -> None:
    """Make a tap, which is up, a port of its NIC's switch; an older port of that name goes."""
    _judge(await _run(*attachment(nic, tap)), "add-port")


def attachment(nic: nics.Nic, tap: str) -> list[str]:
    """Return the words that say so, all in one transaction of the switch's."""
    vlans = nic.vlans
    settings = []
    if vlans is not None and vlans.untagged is not None:
        settings.append(f"tag={vlans.untagged}")
        if vlans.tagged:
            settings.append("vlan_mode=native-untagged")
    if vlans is not None and vlans.tagged:
        settings.append("trunks=" + ",".join(str(vlan) for vlan in vlans.tagged))
    return ["--if-exists", "del-port", tap, "--", "add-port", nic.link, tap, *settings]


async def forget(tap: str) -> None:
    """Remove the port of that name, if there is one."""
    _judge(await _run("--if-exists", "del-port", tap), "del-port")


async def _run(*words: str) -> runner.Finished:
    command = shutil.which(_COMMAND, path=_PATH)
    if command is None:
        raise errors.Unavailable(f"Open vSwitch is not installed: there is no {_COMMAND}")
    arguments = [command, f"--timeout={int(_TIMEOUT / 2)}", *words]
    try:
        return await runner.run(arguments, environment={"PATH": _PATH}, timeout=_TIMEOUT)
    except OSError as error:
        raise errors.Unavailable(f"{command}: {error.strerror}") from error


def _judge(finished: runner.Finished, what: str) -> None:
    if finished.status != 0 or finished.timed_out:
        said = finished.output.decode(errors="replace").strip()
        raise errors.Unavailable(f"{_COMMAND} {what} failed: {said or finished.status}")
