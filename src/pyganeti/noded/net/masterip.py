"""The cluster's own address: the master's node takes it, and gives it back afterwards.

Taking it twice, or giving back what is not here, is no failure: masters repeat themselves. It is
not taken while another machine answers for it, and everybody on the network is told once it is
here. A cluster that says so has a program of its own do it: ``scripts/master-ip-setup`` in the
configuration folder, with ``start`` or ``stop`` and Ganeti's environment.
"""

import asyncio
import ipaddress
from typing import Final

import msgspec

from pyganeti.base import errors, log, paths, runner
from pyganeti.noded.net import addresses, announcing, links, netlink

PROGRAM: Final = "scripts/master-ip-setup"

_TIMEOUT: Final = 50.0
"""Seconds for the program: a master waits for sixty."""

_DETECTION: Final = 5.0
"""Seconds for the kernel to find out whether somebody else has an IPv6 address."""

_LOOK: Final = 0.05
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOG: Final = log.get(__name__)


class Parameters(msgspec.Struct, frozen=True):
    """What a master says of its address. ``ip_family`` is 2 for IPv4, 10 for IPv6."""

    ip: str
    netmask: int
    netdev: str
    ip_family: int = 2
    uuid: str | None = None

    @property
    def address(self) -> addresses.Address:
        """The address itself; raises BadInput."""
        return parse(self.ip)

    @property
    def environment(self) -> dict[str, str]:
        """What hooks and the site's program are told, in Ganeti's words."""
        return {
            "MASTER_NETDEV": self.netdev,
            "MASTER_IP": self.ip,
            "MASTER_NETMASK": str(self.netmask),
            "CLUSTER_IP_VERSION": str(self.address.version),
        }


def parse(text: str) -> addresses.Address:
    """Return an address that one machine can have from its text; raises BadInput."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise errors.BadInput(f"{text!r} is not an IP address") from error
    if address.is_unspecified or address.is_multicast or "%" in text:
        raise errors.BadInput(f"{text!r} is not the IP address of a machine")
    return address


async def take(kernel: netlink.Netlink, wanted: Parameters) -> None:
    """Have the address here; raises errors.Failure if that cannot be."""
    address = wanted.address
    if not 0 < wanted.netmask <= address.max_prefixlen:
        raise errors.BadInput(f"{wanted.netmask} is not the length of a netmask of {address}")
    link = await _link(kernel, wanted.netdev)
    if await kernel.ask(addresses.is_here, address):
        _LOG.info("the master's address is here already", address=str(address))
        return
    if isinstance(address, ipaddress.IPv4Address):
        other = await _asked(link, address)
        if other is not None:
            raise errors.Unavailable(
                f"The master IP {address} is in use by another machine, {other}, on {link.name}"
            )
    await kernel.ask(addresses.add, link.index, link.name, address, wanted.netmask)
    if isinstance(address, ipaddress.IPv6Address):
        await _await_detection(kernel, link, address, wanted.netmask)
    try:
        await asyncio.to_thread(announcing.announce, link, address)
    except OSError as error:
        _LOG.warning("nobody was told where the master's address is", error=str(error))
    _LOG.info("the master's address was taken", address=str(address), interface=link.name)


async def give_back(kernel: netlink.Netlink, had: Parameters) -> None:
    """Have the address here no more; raises errors.Failure if it is on another interface."""
    address = had.address
    found = await kernel.ask(addresses.assigned, address)
    if not found:
        _LOG.info("the master's address is not here", address=str(address))
        return
    link = await _link(kernel, had.netdev)
    ours = [assigned for assigned in found if assigned.index == link.index]
    if not ours:
        raise errors.Unavailable(
            f"The master IP {address} is on another interface than {link.name}; it stays there"
        )
    for assigned in ours:
        await kernel.ask(addresses.remove, link.index, address, assigned.prefix)
    _LOG.info("the master's address was given back", address=str(address), interface=link.name)


async def change_netmask(
    kernel: netlink.Netlink, interface: str, address: addresses.Address, old: int, new: int
) -> None:
    """Give the address that is here another netmask; raises errors.Failure."""
    if old == new:
        return
    if not 0 < new <= address.max_prefixlen:
        raise errors.BadInput(f"{new} is not the length of a netmask of {address}")
    if not await kernel.ask(addresses.is_here, address):
        raise errors.Unavailable(f"The master IP {address} is not here, so its netmask stays")
    link = await _link(kernel, interface)
    there = {found.prefix for found in await kernel.ask(addresses.assigned, address)}
    if new not in there:
        await kernel.ask(addresses.add, link.index, link.name, address, new)
    await kernel.ask(addresses.remove, link.index, address, old)


async def run_program(layout: paths.Paths, action: str, about: Parameters) -> None:
    """Have the site's program take the address (``start``) or give it back (``stop``).

    Raises Unavailable, with the program's words, if it fails.
    """
    program = layout.config_dir / PROGRAM
    try:
        finished = await runner.run(
            [program, action],
            environment={"PATH": _PATH} | about.environment,
            timeout=_TIMEOUT,
        )
    except OSError as error:
        raise errors.Unavailable(f"{program} cannot be run: {error.strerror}") from error
    if finished.timed_out or finished.status != 0:
        why = "timed out" if finished.timed_out else f"returned {finished.status}"
        said = finished.output.decode(errors="replace").strip()
        raise errors.Unavailable(
            f"Failed to {action} the master IP: {program} {why}, output: {said!r}"
        )


async def _link(kernel: netlink.Netlink, name: str) -> links.Link:
    link = await kernel.ask(links.find, name)
    if link is None:
        raise errors.BadInput(f"there is no network interface {name} on this node")
    return link


async def _await_detection(
    kernel: netlink.Netlink, link: links.Link, address: addresses.Address, prefix: int
) -> None:
    """Wait until the kernel knows that nobody else has an IPv6 address; take it away if he has."""
    try:
        async with asyncio.timeout(_DETECTION):
            while True:
                found = await kernel.ask(addresses.assigned, address)
                if any(assigned.is_duplicate for assigned in found):
                    await kernel.ask(addresses.remove, link.index, address, prefix)
                    raise errors.Unavailable(
                        f"The master IP {address} is in use by another machine on {link.name}"
                    )
                if not any(assigned.is_tentative for assigned in found):
                    return
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        _LOG.warning("whether the master's address is in use is not known", address=str(address))


async def _asked(link: links.Link, address: ipaddress.IPv4Address) -> str | None:
    """Return who else has an address; raises Unavailable if the network cannot be asked."""
    try:
        return await asyncio.to_thread(announcing.holder, link, address)
    except OSError as error:
        raise errors.Unavailable(
            f"whether {address} is in use on {link.name} cannot be found out: {error.strerror}"
        ) from error
