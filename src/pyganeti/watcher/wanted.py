"""Which daemons are to run on a node: a pure decision over what the node says of itself.

Every node of a cluster has its node daemon, and the one that says why guests stopped (which ends by
itself where the cluster does not want it). The master has the daemon that leads, and RAPI where it
is installed; so has a candidate where the cluster is kept in a store that several may lead from,
for there the daemons find out among themselves which of them does. Beside ours, Ganeti's own are
kept where they are installed: whoever has both has put them there.
"""

from dataclasses import dataclass
from typing import Final

NODED: Final = "ganeti-noded"
KVMD: Final = "ganeti-kvmd"
MASTERD: Final = "ganeti-masterd"
RAPI: Final = "ganeti-rapi"
LUXID: Final = "ganeti-luxid"
WCONFD: Final = "ganeti-wconfd"
CONFD: Final = "ganeti-confd"
MOND: Final = "ganeti-mond"

ALL: Final = (NODED, KVMD, CONFD, MOND, MASTERD, WCONFD, LUXID, RAPI)
"""In the order in which they are started."""

OURS: Final = frozenset((NODED, KVMD, MASTERD))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a node is in its cluster, as far as it knows."""

    is_member: bool
    """Whether it belongs to a cluster: one without a certificate has nothing to serve with."""

    is_master: bool = False
    may_lead: bool = False
    """Whether it is to stand by to take over from the master at any time."""


def daemons(standing: Standing, installed: frozenset[str]) -> tuple[str, ...]:
    """Return the daemons that should run, of those whose commands are there."""
    if not standing.is_member:
        return ()
    wanted = {NODED, KVMD, CONFD, MOND}
    if standing.is_master or standing.may_lead:
        wanted |= _leading(installed)
    if standing.is_master:
        wanted.add(RAPI)
    return tuple(daemon for daemon in ALL if daemon in wanted and daemon in installed)


def _leading(installed: frozenset[str]) -> set[str]:
    """Return the daemons that lead a cluster: ours, unless only Ganeti's are there."""
    return {MASTERD} if MASTERD in installed else {WCONFD, LUXID}
