"""Network cards on the command line: the tap that the node opened, and the device that shows it."""

from dataclasses import dataclass

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
    if "driver" not in nic.hvinfo:
        raise errors.BadInput(f"NIC {nic.uuid} has no place")
    netdev = str(nic.hvinfo["id"])
    host: dict[str, options.Value] = {"id": netdev}
    if tap.queues:
        host |= _descriptors("fd", tap.queues) | _descriptors("vhostfd", tap.vhosts)
    else:
        host |= {"ifname": tap.name, "script": "no", "downscript": "no"}
        if asked.queues > 1:
            host["queues"] = asked.queues
    if asked.vhost:
        host["vhost"] = True
    device: dict[str, options.Value] = {k: v for k, v in nic.hvinfo.items() if k != "driver"}
    device |= {"netdev": netdev, "mac": nic.mac, "bootindex": bootindex}
    if asked.queues > 1:
        device |= {"mq": True, "vectors": 2 * asked.queues + 2}
    return [
        "-netdev",
        options.render("tap", host),
        "-device",
        options.render(str(nic.hvinfo["driver"]), device),
    ]


def _descriptors(key: str, numbers: tuple[int, ...]) -> dict[str, options.Value]:
    if not numbers:
        return {}
    return {key if len(numbers) == 1 else f"{key}s": ":".join(map(str, numbers))}
