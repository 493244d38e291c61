"""Network cards on the command line: the tap that the node opened, and the device that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import capabilities, options


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tap has to be able to, to be asked of the network before qemu starts."""

    queues: int = 1
    vhost: bool = False
    vnet_hdr: bool = False


@dataclass(frozen=True, slots=True)
class Tap:
    """A tap, opened for one qemu.

    ``queues`` are its descriptors, one a queue, to be inherited; ``vhosts`` likewise those of
    ``/dev/vhost-net``. Without descriptors qemu opens the tap by its name.
    """

    name: str
    queues: tuple[int, ...] = ()
    vhosts: tuple[int, ...] = ()


def wanted(hvparams: hypervisors.HvParams, known: capabilities.Capabilities) -> Wanted:
    """Return what every tap of an instance has to be able to."""
    if hvparams.nic_type != "paravirtual":
        known.need(hvparams.nic_type)
        return Wanted()
    known.need("virtio-net-pci")
    return Wanted(hvparams.virtio_net_queues, hvparams.vhost_net, hvparams.vnet_hdr)


def arguments(nic: instances.Nic, tap: Tap, asked: Wanted, bootindex: int | None) -> list[str]:
    """Return the options for one NIC; its ``hvinfo`` says where it sits."""
    netdev = _name(nic)
    host: dict[str, options.Value] = {"type": "tap", "id": netdev}
    if tap.queues:
        host |= _descriptors("fd", tap.queues) | _descriptors("vhostfd", tap.vhosts)
    else:
        host |= {"ifname": tap.name, "script": "no", "downscript": "no"}
        if asked.queues > 1:
            host["queues"] = asked.queues
    if asked.vhost:
        host["vhost"] = True
    return [
        "-netdev",
        options.headed("type", host),
        "-device",
        options.headed("driver", device(nic, asked, bootindex)),
    ]


def netdev(nic: instances.Nic, asked: Wanted) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return a NIC's host side for QMP, and under which names it wants descriptors.

    First those of the queues, then those of vhost.
    """
    name = _name(nic)
    queues = [f"{name}-{n}" for n in range(asked.queues)]
    vhosts = [f"{name}-vhost-{n}" for n in range(asked.queues if asked.vhost else 0)]
    host: dict[str, Any] = {"type": "tap", "id": name} | _descriptors("fd", queues)
    if vhosts:
        host |= {"vhost": True} | _descriptors("vhostfd", vhosts)
    return host, queues, vhosts


def device(nic: instances.Nic, asked: Wanted, bootindex: int | None) -> dict[str, options.Value]:
    """Return the device that the guest sees; the NIC's ``hvinfo`` says where it sits."""
    name = _name(nic)
    shown: dict[str, options.Value] = {"driver": nic.hvinfo["driver"], **nic.hvinfo}
    shown |= {"netdev": name, "mac": nic.mac, "bootindex": bootindex}
    if asked.queues > 1:
        shown |= {"mq": True, "vectors": 2 * asked.queues + 2}
    return shown


def _name(nic: instances.Nic) -> str:
    if "driver" not in nic.hvinfo:
        raise errors.BadInput(f"NIC {nic.uuid} has no place")
    return str(nic.hvinfo["id"])


def _descriptors(key: str, names: Sequence[int | str]) -> dict[str, options.Value]:
    if not names:
        return {}
    return {key if len(names) == 1 else f"{key}s": ":".join(map(str, names))}
