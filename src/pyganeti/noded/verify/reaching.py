"""Whether this node reaches the others: their node daemons' ports, the master's address, ssh.

Many are asked at once, no more than a bound, and each for a bounded time. One that does not answer
is a line of the answer.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from pyganeti.base import errors, log, paths, runner, ssconf
from pyganeti.clients.etcd import access
from pyganeti.wire import storefile

_LOG = log.get(__name__)

Addresses: TypeAlias = tuple[str, str, str]
"""A node's name, its primary address and its secondary one, which may be the same."""

_Node = TypeVar("_Node")
_Found = TypeVar("_Found")

_AT_ONCE: Final = 16
_CONNECT: Final = 10.0
_SSH: Final = 30.0
_SSH_PORT: Final = 22
_LOOPBACK: Final = "127.0.0.1"
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
_WHO_ARE_YOU: Final = 'echo "${GANETI_HOSTNAME:-$(hostname --fqdn)}"'


async def by_tcp(own: str, nodes: Sequence[Addresses], port: int) -> dict[str, str]:
    """Return, for nodes that are not reached from each of our addresses, by which they are not."""
    mine = next((node for node in nodes if node[0] == own), None)
    if mine is None:
        return {own: "Can't find my own primary/secondary IP in the node list"}

    async def one(node: Addresses) -> tuple[str, str] | None:
        name, primary, secondary = node
        failed = []
        if not await is_open(primary, port, source=mine[1]):
            failed.append("primary")
        if secondary != primary and not await is_open(secondary, port, source=mine[2]):
            failed.append("secondary")
        if not failed:
            return None
        return name, f"failure using the {' and '.join(failed)} interface(s)"

    found = await _each(one, nodes)
    return dict(failure for failure in found if failure is not None)


async def master(address: str, port: int, *, own: bool) -> bool:
    """Tell whether the master's address answers; ``own``: it should be this node's."""
    source = _LOOPBACK if own and ":" not in address else None
    return await is_open(address, port, source=source)


async def store(layout: paths.Paths, endpoints: Sequence[str]) -> dict[str, object]:
    """Return what this node takes for the cluster's prefix in etcd, and what it does not reach.

    The prefix is empty if its file says nothing.
    """
    prefix = ""
    with contextlib.suppress(OSError, errors.Damaged):
        data = await asyncio.to_thread(layout.store_file.read_bytes)
        prefix = storefile.decode(data).prefix

    async def one(endpoint: access.Endpoint) -> str | None:
        return None if await is_open(endpoint.host, endpoint.port, source=None) else str(endpoint)

    found = await _each(one, access.parse(endpoints))
    return {"prefix": prefix, "unreached": [name for name in found if name is not None]}


async def by_ssh(
    layout: paths.Paths, cluster: str, nodes: Sequence[str], *, path: str = _PATH
) -> dict[str, str]:
    """Return, for nodes that ssh does not get to or that call themselves otherwise, why.

    ``path`` is where ssh is looked for.
    """
    command = shutil.which("ssh", path=path)
    if command is None:
        return dict.fromkeys(nodes, "ssh problem: there is no ssh on the node that asked")
    setting = await asyncio.to_thread(ssconf.read, layout, "ssh_ports")
    ports = ssh_ports(setting or "")
    known_hosts = layout.state_dir / "known_hosts"

    async def one(name: str) -> tuple[str, str | None]:
        if not _NAME.fullmatch(name):
            return name, f"{name!r} is not the name of a node"
        return name, await _ask_name(
            [
                command,
                "-oEscapeChar=none", "-oHashKnownHosts=no", "-oCheckHostIP=no",
                f"-oGlobalKnownHostsFile={known_hosts}", "-oUserKnownHostsFile=/dev/null",
                "-oBatchMode=yes", "-oStrictHostKeyChecking=yes",
                f"-oConnectTimeout={_CONNECT:.0f}", f"-oHostKeyAlias={cluster}",
                f"-oPort={ports.get(name, _SSH_PORT)}",
                f"root@{name}", _WHO_ARE_YOU,
            ],
            name,
        )  # fmt: skip

    return {name: why for name, why in await _each(one, nodes) if why is not None}


def ssh_ports(setting: str) -> Mapping[str, int]:
    """Return the nodes' ports from the cluster's setting: lines of ``name=port``."""
    pairs = (line.partition("=") for line in setting.splitlines())
    return {name: int(port) for name, _, port in pairs if port.isdecimal()}


async def is_open(address: str, port: int, *, source: str | None) -> bool:
    """Tell whether somebody takes connections there from that address of ours."""
    local = None if source is None else (source, 0)
    try:
        async with asyncio.timeout(_CONNECT):
            _, writer = await asyncio.open_connection(address, port, local_addr=local)
    except (OSError, TimeoutError, ValueError) as error:  # ValueError: it can be no address
        _LOG.info("not reached", address=address, port=port, source=source, why=str(error))
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _ask_name(line: Sequence[str], name: str) -> str | None:
    """Have a node say its name; return what is wrong, None if nothing is."""
    environment = {"PATH": _PATH, "HOME": os.environ.get("HOME", "/root")}
    try:
        ended = await runner.run(line, environment=environment, timeout=_SSH, separate=True)
    except (OSError, ValueError, errors.Exhausted) as error:
        return f"ssh problem: {error}"
    said = ended.output.decode(errors="replace").strip()
    if ended.timed_out or ended.status != 0:
        complaints = ended.complaints.decode(errors="replace").strip() or said
        return f"ssh problem: {complaints or '(no output)'}"
    if said == name:
        return None
    what = "hostname not FQDN" if said and name.startswith(f"{said}.") else "hostname mismatch"
    return f"{what}: expected {name} but got {said}"


async def _each(one: Callable[[_Node], Awaitable[_Found]], nodes: Sequence[_Node]) -> list[_Found]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(node: _Node) -> _Found:
        async with places:
            return await one(node)

    return list(await asyncio.gather(*(in_turn(node) for node in nodes)))
