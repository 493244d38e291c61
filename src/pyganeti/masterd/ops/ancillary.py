"""The files besides the configuration that all nodes of a cluster have alike.

The master's are what counts. They are sent to a node that comes, and to all when somebody asks for
that; what did not arrive is said, and the next time it is sent again. Which files these are, and
that the cluster is verified for them, is Ganeti's.
"""

import asyncio
import contextlib
import grp
import pwd
import stat
from collections.abc import Iterable
from typing import Final

from pyganeti.base import errors, paths
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config import cluster, node
from pyganeti.wire import noderpc

_HOSTS: Final = "/etc/hosts"
_ALL: Final = (
    "/var/lib/ganeti/known_hosts",
    "/var/lib/ganeti/hmac.key",
    "/var/lib/ganeti/cluster-domain-secret",
    "/var/lib/ganeti/spice.pem",
    "/var/lib/ganeti/spice-ca.pem",
    "/var/lib/ganeti/rapi/users",
    "/var/lib/ganeti/rapi.pem",
)
_OF_KVM: Final = ("/etc/ganeti/kvm-vif-bridge",)
_LIMIT: Final = 16 * 1024 * 1024


def of_all(cluster: cluster.Cluster) -> list[str]:
    """Return the files that every node has, by the names that all nodes know."""
    found = list(_ALL)
    if cluster.modify_etc_hosts:
        found.append(_HOSTS)
    return found


def of_machines(cluster: cluster.Cluster) -> list[str]:
    """Return those that only nodes have on which instances may run."""
    return list(_OF_KVM) if "kvm" in cluster.enabled_hypervisors else []


async def distribute(context: contexts.Context, nodes: Iterable[node.Node]) -> None:
    """Send the files to nodes; a file that this node does not have is not sent.

    What fails is warned of.
    """
    snapshot = context.snapshot
    targets = [one for one in nodes if not one.offline and one.uuid != snapshot.cluster.master_node]
    machines = [one for one in targets if one.vm_capable]
    for names, receivers in (
        (of_all(snapshot.cluster), targets),
        (of_machines(snapshot.cluster), machines),
    ):
        for name in names:
            await _send(context, name, receivers)


async def _send(context: contexts.Context, name: str, nodes: list[node.Node]) -> None:
    try:
        upload = await asyncio.to_thread(_read, context.layout, name)
    except (OSError, errors.Failure) as error:
        context.warn(f"{name} cannot be read here, and is not sent: {error}")
        return
    if upload is None:
        return
    answers = await context.nodes.each(nodes, "upload_file_single", upload)
    for target in nodes:
        failure = answers[target.uuid].error
        if failure is not None:
            context.warn(f"Copy of file {name} to node {target.name} failed: {failure}")


def _read(layout: paths.Paths, name: str) -> tuple[object, ...] | None:
    """Return what upload_file_single takes, None if there is no such file."""
    path = layout.localize(name)
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
            found = path.stat()
    except FileNotFoundError:
        return None
    if len(data) > _LIMIT:
        raise errors.Damaged(f"{path} has more than {_LIMIT} bytes")
    user, group = _owner(found.st_uid, found.st_gid)
    mode = stat.S_IMODE(found.st_mode)
    times = (found.st_atime, found.st_mtime)
    return (name, noderpc.encode_blob(data), mode, user, group, *times)


def _owner(uid: int, gid: int) -> tuple[str, str]:
    user = group = "root"
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(gid).gr_name
    return user, group
