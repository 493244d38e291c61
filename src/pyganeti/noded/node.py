"""What a call works on: this node's places and the parts that do the work, wired by the app.

One object a daemon, handed to every call. Each part is a field with its type; whoever writes a
part adds its field here and makes it in `pyganeti.noded.app`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pyganeti.base import paths
from pyganeti.noded import copies, fencing, masteraddress, masterdoor, powercycle
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.net import network
from pyganeti.noded.stops import feed
from pyganeti.noded.storage import storage
from pyganeti.noded.transfers import transfers


@dataclass(slots=True, kw_only=True)
class Node:
    """The node that this daemon runs on, as calls see it."""

    paths: paths.Paths
    """Where everything lies."""

    name: str
    """The node's name, as the cluster knows it."""

    port: int
    """Where this daemon listens, and where the other nodes' do."""

    fence: fencing.Fence
    """Which master is obeyed."""

    copies: copies.Copies
    """What it has of configuration and queue."""

    address: masteraddress.MasterAddress
    """The cluster's address."""

    storage: storage.Storage
    """The disks."""

    network: network.Network
    """Taps, bridges and addresses."""

    hypervisor: hypervisor.Hypervisor
    """Instances and their qemus."""

    stops: feed.Feed
    """Why guests stopped."""

    transfers: transfers.Transfers
    """Data of instances on its way to or from other nodes."""

    door: masterdoor.Door
    """The way to the master daemon, where it leads."""

    power: powercycle.Powercycle
    """The node's reset button."""

    leave: Callable[[], None]
    """End the daemon as soon as the calls under way are answered; returns at once."""
