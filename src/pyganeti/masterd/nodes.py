"""Calling the nodes of the configuration: one, or many at once, each within its time.

An offline node is never asked. A node that is down, slow or answers nonsense fails what needs it
and nothing else: `Nodes.each` always comes back with an answer for every node, one way or another.
Nothing is repeated here: whether a call may be made twice only its caller knows.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyganeti.base import errors, log
from pyganeti.clients import node as nodeclient

_LOG = log.get(__name__)

_URGENT: Final = 60.0
_FAST: Final = 300.0
_NORMAL: Final = 900.0
_SLOW: Final = 3600.0
_DAY: Final = 86400.0

_PATIENCE: Final[Mapping[str, float]] = {
    name: seconds
    for seconds, names in {
        _URGENT: """
            instance_info all_instances_info instance_list instance_metadata_modify bdev_sizes
            node_info node_ensure_daemon lv_list vg_list bridges_exist drbd_helper
            get_watcher_pause set_watcher_pause jobqueue_update jobqueue_rename
            jobqueue_set_drain_flag master_node_name version
        """,
        _FAST: """
            file_storage_dir_create file_storage_dir_remove file_storage_dir_rename impexp_status
            export_info export_list export_remove os_diagnose os_validate os_export
            extstorage_diagnose node_has_ip_address node_volumes node_demote_from_mc get_file_info
            node_start_master_daemons node_activate_master_ip node_stop_master
            node_deactivate_master_ip node_change_master_netmask
        """,
        _SLOW: """
            instance_run_rename instance_migrate instance_finalize_migration_src
            instance_get_migration_status blockdev_convert blockdev_image blockdev_wipe
            node_crypto_tokens restricted_command
        """,
        _DAY: "instance_os_add",
    }.items()
    for name in names.split()
}
"""Seconds that a call may take, as Ganeti's masters have it; any other may take `_NORMAL`."""

_GIVING_UP: Final = frozenset({"node_deactivate_master_ip"})
"""What a master that is none any more still has to have done."""

_MOST_AT_ONCE: Final = 64
"""Nodes that one question is put to at the same time."""


_HOW: Final[Sequence[tuple[type[errors.Failure], str]]] = (
    (nodeclient.Deposed, "deposed"),
    (nodeclient.Unreached, "unreached"),
    (errors.Unavailable, "broken-off"),
    (errors.Interrupted, "timeout"),
    (errors.Denied, "denied"),
    (errors.Refused, "refused"),
)
"""The first that fits."""


Node: TypeAlias = nodeclient.Node


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking a node: a payload, or an error; ``offline``: it was not asked."""

    payload: Any = None
    error: errors.Failure | None = None
    offline: bool = False

    @property
    def failed(self) -> bool:
        """Whether there is no payload."""
        return self.error is not None

    def unwrap(self) -> Any:  # noqa: ANN401 - JSON
        """Return the payload; raise the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.payload


Arguments: TypeAlias = Sequence[object] | Callable[[Any], Sequence[object]]
"""The same for each node, or made from the node."""


Observed: TypeAlias = Callable[[str, str, float, str], None]
"""Is told of a call's end: node, call, seconds, and in a word how it failed, "" if it did not."""


def unobserved(node: str, call: str, seconds: float, failure: str) -> None:
    """Tell nobody."""


class Nodes:
    """Calls nodes through one `clients.node.Caller`, which the owner opens and closes."""

    def __init__(
        self,
        caller: nodeclient.Caller,
        *,
        deposed: Callable[[nodeclient.Deposed], None] = lambda _: None,
        observed: Observed = unobserved,
    ) -> None:
        """Make one; ``deposed`` is told when a node refuses because it follows a later master."""
        self._observed = observed
        self._caller = caller
        self._deposed = deposed
        self.is_over: Callable[[], bool] = lambda: False
        """Whether another is the master, for good; given by whoever leads.

        Jobs that are being broken off then ask nothing more of any node: one that has not heard of
        the other master yet would obey.
        """

    def renew(self, context: ssl.SSLContext) -> None:
        """Show and trust other certificates from the next connection on."""
        self._caller.renew(context)

    async def call(
        self, node: Node, name: str, *arguments: object, timeout: float | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call; return its payload.

        Raises what `clients.node.Caller.call` raises, with the node's name in front; Unavailable
        at once if the node is marked offline, or nothing is to be asked any more.
        """
        if node.offline:
            raise errors.Unavailable(f"{node.name} is marked offline")
        if name not in _GIVING_UP and self.is_over():
            raise errors.Unavailable(
                f"{node.name}: {name}: another is the master, so nothing is asked of nodes any more"
            )
        patience = _PATIENCE.get(name, _NORMAL) if timeout is None else timeout
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            payload = await self._caller.call(node.primary_ip, name, arguments, timeout=patience)
        except errors.Failure as error:
            self._observed(node.name, name, loop.time() - begun, _how(error))
            if isinstance(error, nodeclient.Deposed):
                self._deposed(error)
            raise _named(error, node.name, name) from error
        self._observed(node.name, name, loop.time() - begun, "")
        return payload

    async def promise(self, node: Node, number: int, master: str, *, timeout: float) -> None:
        """Have a node promise to follow the master of an epoch; raises as `call` does."""
        await self.call(node, "master_promise", number, master, timeout=timeout)

    async def remembers(self, node: Node, *, timeout: float) -> bool:
        """Find out whether a node remembers epochs; raises as `call` does."""
        await self.call(node, "version", timeout=timeout)
        return self._caller.remembers(node.primary_ip)

    async def each(
        self,
        nodes: Iterable[Node],
        name: str,
        arguments: Arguments = (),
        *,
        timeout: float | None = None,
    ) -> dict[str, Answer]:
        """Ask nodes at once; return each one's answer by its uuid. Never raises for a node."""
        room = asyncio.Semaphore(_MOST_AT_ONCE)

        async def ask(node: Node) -> Answer:
            given = arguments(node) if callable(arguments) else arguments
            try:
                async with room:
                    return Answer(await self.call(node, name, *given, timeout=timeout))
            except errors.Failure as error:
                if not node.offline:
                    _LOG.warning("a node failed to answer", node=node.name, call=name, why=error)
                return Answer(error=error, offline=node.offline)

        wanted = list(nodes)
        async with asyncio.TaskGroup() as group:
            asked = {node.uuid: group.create_task(ask(node)) for node in wanted}
        return {uuid: task.result() for uuid, task in asked.items()}


def _named(error: errors.Failure, node: str, call: str) -> errors.Failure:
    """Return the same kind of failure, whose words name the node."""
    if isinstance(error, nodeclient.Deposed):
        return nodeclient.Deposed(f"{node}: {call}: {error}", error.known)
    return type(error)(f"{node}: {call}: {error}")


def _how(error: errors.Failure) -> str:
    """Return in one word how a call failed."""
    return next((word for kind, word in _HOW if isinstance(error, kind)), "nonsense")
