"""The sub-command ``gnt-instance console``."""

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, session
from pyganeti.cli.instance import attaching, choosing
from pyganeti.model.opcodes import instance

_RELAY: Final = "socat"
_SOCKET: Final = "UNIX-CONNECT:"


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.option("--show-cmd", is_flag=True, help="Print the command that attaches; do not run it.")
@click.pass_obj
def command(current: session.Session, *, name: str, show_cmd: bool) -> int:
    """Attach to an instance's console. Control and ] leaves it.

    The serial console of an instance on another node is reached by ssh. Of a VNC or SPICE display
    is said where it listens.
    """
    [name] = choosing.known(current, [name])
    op = instance.InstanceConsole(instance_name=name)
    results = following.run(current, [op], options.How(as_json=True))
    console: dict[str, Any] = results[0] if results else {}
    match console.get("kind"):
        case "msg":
            current.out(str(console["message"]))
        case "vnc":
            where = f"{console['host']}:{console['port']}"
            current.out(
                f"Instance {name} has VNC listening on {where} (display {console['display']}),"
                f" URL <vnc://{where}/>"
            )
        case "spice":
            current.out(
                f"Instance {name} has SPICE listening on {console['host']}:{console['port']}"
            )
        case "ssh":
            return _attach(current, name, console, show=show_cmd)
        case kind:
            raise errors.Damaged(f"the console of {name} is of a kind that is unknown: {kind!r}")
    return 0


def _attach(current: session.Session, name: str, console: dict[str, Any], *, show: bool) -> int:
    command = console["command"]
    inner = command if isinstance(command, str) else shlex.join(command)
    is_here = console["host"] == current.layout.hostname
    outer = ["sh", "-c", inner] if is_here else _over_ssh(console, inner)
    if show:
        current.out(inner if is_here else shlex.join(outer))
        return 0
    if current.is_terminal and current.can_ask:
        current.tell(f"Attached to {name}; control and ] leaves.")
    path = None if isinstance(command, str) else _socket_in(command)
    if is_here and path is not None:
        with _beside(command):
            attaching.attach(path, source=sys.stdin.fileno(), target=sys.stdout.fileno())
        return 0
    try:
        code = subprocess.run(outer, check=False).returncode
    except FileNotFoundError as error:
        raise errors.Unavailable(f"{outer[0]} is not installed here") from error
    if code:
        raise errors.Unavailable(
            f"the console of {name} on {console['host']} cannot be reached by ssh as root; see"
            " gnt-instance console --show-cmd"
        )
    return 0


@contextlib.contextmanager
def _beside(command: Sequence[str]) -> Iterator[None]:
    """Run what stands before the relay in a node's command: it lets a paused guest go on.

    We are the relay, so nothing comes in its place.
    """
    before = list(command[: command.index(_RELAY)]) if _RELAY in command else []
    if not before:
        yield
        return
    process = subprocess.Popen([*before, "true"], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.wait()


def _over_ssh(console: dict[str, Any], command: str) -> list[str]:
    is_terminal = sys.stdin.isatty()
    return [
        "ssh",
        "-t" if is_terminal else "-T",
        "-oEscapeChar=none",
        "-oLogLevel=ERROR",
        *([] if is_terminal else ["-oBatchMode=yes"]),
        f"-p{console['port']}",
        f"-l{console['user']}",
        "--",
        str(console["host"]),
        command,
    ]


def _socket_in(command: Sequence[str]) -> str | None:
    """Return the socket that a command connects to, None if it does something else."""
    for word in command:
        if word.startswith(_SOCKET):
            return word.removeprefix(_SOCKET)
    return None
