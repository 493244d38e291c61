"""The network between the nodes: a switch with a port for each, and the faults it can have.

The switch is a bridge in a namespace of its own, with an address, so that whoever is in there
reaches all nodes, as an administrator's machine would. Each node has one cable, ``eth0``, which is
a port of a bridge in the node that has the node's address and takes the instances' taps too.

Faults need nothing of the kernel but bridges: a cable is unplugged by taking its port down, and
what one node sends to another gets lost on the way if it is sent to a card that nobody has.
"""

from collections.abc import Iterable
from typing import Final

from lab.cluster import namespaces

PREFIX: Final = "192.0.2"
"""The first three numbers of every address (RFC 5737): nothing outside has such addresses."""

_HERE: Final = 254
HERE: Final = f"{PREFIX}.{_HERE}"
"""The switch's own address, where the laboratory calls from."""

BRIDGE: Final = "br0"
"""The bridge in each node, for the node's address and for instances."""

_LAN: Final = "lan"
_NOBODY: Final = "02:00:00:00:ff:ff"


def address_of(number: int) -> str:
    """Return the address of a node by its number, from 1."""
    return f"{PREFIX}.{number}"


class Switch:
    """The switch; see the module."""

    def __init__(self, room: namespaces.Namespace) -> None:
        self.room = room
        self._ports: dict[str, namespaces.Namespace] = {}
        room.configure(
            [
                # Without a card of its own a bridge changes it with each port that comes or goes.
                f"link add {_LAN} address {_card(_HERE)} type bridge",
                f"addr add {HERE}/24 dev {_LAN}",
                f"link set {_LAN} up",
            ]
        )

    def plug(self, port: str, address: str, node: namespaces.Namespace) -> None:
        """Connect a node, which gets an address; a port of that name is taken from another."""
        if port in self._ports:
            # The kernel removes the cable of a node that has ended only some time later.
            self.room.run("ip", "link", "del", port)
        number = int(address.rpartition(".")[2])
        self.room.configure(
            [
                f"link add {port} type veth peer name eth0 netns {node.pid}",
                f"link set {port} master {_LAN}",
                f"link set {port} up",
            ]
        )
        node.configure(
            [
                f"link add {BRIDGE} address {_card(number)} type bridge",
                f"link set eth0 master {BRIDGE}",
                "link set eth0 up",
                f"addr add {address}/24 dev {BRIDGE}",
                f"link set {BRIDGE} up",
            ]
        )
        self._ports[port] = node

    def unplug(self, port: str) -> None:
        """Take a node's cable out."""
        self.room.configure([f"link set {port} down"])

    def replug(self, port: str) -> None:
        """Put it in again."""
        self.room.configure([f"link set {port} up"])

    def lose(self, port: str, addresses: Iterable[str]) -> None:
        """Lose what a node sends to these addresses; what they send arrives as before."""
        self._ports[port].configure(
            [f"neigh replace {to} lladdr {_NOBODY} nud permanent dev {BRIDGE}" for to in addresses]
        )

    def find(self, port: str, addresses: Iterable[str]) -> None:
        """Have it arrive again."""
        self._ports[port].configure([f"neigh del {to} dev {BRIDGE}" for to in addresses])


def _card(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"
