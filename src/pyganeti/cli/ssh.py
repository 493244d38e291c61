"""Commands on other nodes, as root, by the system's ssh and the administrator's own keys.

The cluster needs none of this: what its nodes do together they do by the node RPC.
"""

import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.cli import session

FAILED: Final = 255
"""How ssh ends that gets no connection."""

_AT_ONCE: Final = 16
_CONNECTING: Final = 10
_PATIENCE: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Target:
    """A node, as ssh finds it."""

    name: str
    address: str
    port: int
    is_here: bool = False


def line(host: str, port: int, command: str, *, can_ask: bool, check: bool = True) -> list[str]:
    """Return the words that run a shell command on a host.

    ``can_ask``: whether somebody can answer ssh's questions; ``check``: whether the host's key has
    to be known.
    """
    words = [
        "ssh",
        "-T",
        "-oEscapeChar=none",
        "-oLogLevel=ERROR",
        f"-oConnectTimeout={_CONNECTING}",
    ]
    if not can_ask:
        words.append("-oBatchMode=yes")
    if not check:
        words += ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"]
    return [*words, f"-p{port}", "-lroot", "--", host, command]


def targets(
    current: session.Session,
    names: Sequence[str],
    group: str | None,
    *,
    secondary: bool = False,
) -> list[Target]:
    """Return nodes, the master last: those named, of a group, or all; the offline ones left out.

    Raises BadInput for a name that no node has.
    """
    fields = ["name", "sip" if secondary else "name", "ndp/ssh_port", "offline", "role", "group"]
    rows = current.client.query_nodes([], fields)
    if names:
        rows = [_named(rows, name) for name in dict.fromkeys(names)]
    if group is not None:
        groups = current.client.query_groups([group], ["name"])
        if not groups:
            raise errors.BadInput(f"Node group '{group}' not known", "unknown_entity")
        rows = [row for row in rows if row[5] == groups[0][0]]
    for row in rows:
        if row[3] and names:
            current.tell(f"{row[0]} is marked offline and left out")
    found = [
        Target(row[0], row[1], int(row[2]), is_here=row[4] == "M") for row in rows if not row[3]
    ]
    return sorted(found, key=lambda target: target.is_here)


def run(
    everywhere: Sequence[Target], command: str, given: bytes = b""
) -> Iterator[tuple[Target, int, bytes]]:
    """Run a shell command on nodes, several at once; yield status and output in their order.

    On this node there is no need for ssh. Raises Unavailable if ssh is not installed.
    """

    def one(target: Target) -> subprocess.CompletedProcess[bytes]:
        words = ["sh", "-c", command]
        if not target.is_here:
            words = line(target.address, target.port, command, can_ask=False)
        return subprocess.run(
            words,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            check=False,
        )

    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        for target, done in _pairs(pool, everywhere, one):
            yield target, done.returncode, done.stdout


def quoted(words: Sequence[str]) -> str:
    """Return what a command's words mean to the shell there, as Ganeti has it: joined by blanks."""
    return " ".join(words)


def writing(path: str, mode: int) -> str:
    """Return the shell command that puts its input into a file, whole or not at all."""
    place, new = shlex.quote(path), shlex.quote(f"{path}.new")
    return (
        f"umask 077 && rm -f {new} && cat >{new} && chmod {mode:o} {new} && mv -T {new} {place}"
        f" || {{ rm -f {new}; exit 1; }}"
    )


def _named(rows: Sequence[list[Any]], name: str) -> list[Any]:
    """Return the row of a node by its name or its beginning; raises BadInput if none is meant."""
    found = [row for row in rows if name == row[0]] or [
        row for row in rows if row[0].startswith(f"{name}.")
    ]
    if len(found) != 1:
        raise errors.BadInput(f"Node '{name}' not known, or not one alone", "unknown_entity")
    return found[0]


def _pairs(
    pool: futures.ThreadPoolExecutor,
    everywhere: Sequence[Target],
    one: Callable[[Target], Any],
) -> Iterator[tuple[Target, Any]]:
    try:
        yield from zip(everywhere, pool.map(one, everywhere), strict=True)
    except FileNotFoundError as error:
        raise errors.Unavailable("ssh is not installed here") from error
