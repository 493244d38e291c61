"""``ganeti-node-join``: make this machine a node of a cluster that takes it in."""

import asyncio
import contextlib
import os
import sys
from typing import Final

import click

import pyganeti
from pyganeti.base import durations, errors, paths, services
from pyganeti.cli.bootstrap import finding, joining, waiting
from pyganeti.wire import joining as messages

_PROGRAM: Final = "ganeti-node-join"
_CONTEXT: Final = {"help_option_names": ["-h", "--help"]}
_INTERRUPTED: Final = 130


@click.command(context_settings=_CONTEXT)
@click.version_option(pyganeti.__version__, "-V", "--version", prog_name=_PROGRAM)
@click.option(
    "--stdin",
    is_flag=True,
    help="Take what the master sends on standard input: what gnt-node add does over ssh.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Listen at this address; else at what this machine's name resolves to.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Listen on this port, 0 for any; else on the one that the node daemon will have.",
)
@click.option(
    "--timeout",
    default="10m",
    show_default=True,
    metavar="TIME",
    help="How long to wait for the master.",
)
def command(*, stdin: bool, address: str | None, port: int | None, timeout: str) -> None:
    """Make this machine a node of a cluster.

    Prints a token, one word, and waits. On the master, `gnt-node add --token - NODE` asks for that
    word and does the rest. The token is worth nothing once it was used or the time is over.
    """
    if os.geteuid() != 0:
        raise errors.Denied("a node is made by root")
    layout = paths.Paths.from_environment(os.environ)
    node = finding.node_name(layout)
    if stdin:
        _take_stdin(layout)
        return
    at = address or _address(node)
    listening = services.port("ganeti-noded") if port is None else port
    patience = durations.seconds(timeout)

    def announce(token: messages.Token) -> None:
        _tell(
            f"{node} waits for {patience / 60:.0f} minutes; on the cluster's master:"
            f" gnt-node add --token - {node}"
        )
        sys.stdout.write(token.encode() + "\n")
        sys.stdout.flush()

    async def wait() -> None:
        await waiting.Waiting(
            node,
            check=lambda bundle: joining.check(layout, bundle),
            take=lambda bundle: joining.join(layout, bundle, say=_tell, warn=_tell),
            announce=announce,
            say=_tell,
        ).run(at, listening, patience)

    asyncio.run(wait())
    _tell(f"{node} is ready; the master goes on from here")


def _address(node: str) -> str:
    """Return where the master can reach this machine: IPv4 if it has that, else IPv6."""
    here = finding.interfaces()
    try:
        return finding.primary_address(node, here, option="--address")
    except errors.BadInput:
        with contextlib.suppress(errors.BadInput):
            return finding.primary_address(node, here, ipv6=True, option="--address")
        raise


def _take_stdin(layout: paths.Paths) -> None:
    """Take a bundle, and say on standard output how it went, for the master to read."""
    data = sys.stdin.buffer.read(messages.LARGE + 1)
    error: str | None = None
    try:
        bundle = messages.decode(data, messages.Bundle)
        joining.join(layout, bundle, say=_tell, warn=_tell)
    except (errors.Failure, OSError) as failed:
        error = str(failed)
    answer = messages.Answer(node=layout.hostname, error=error)
    sys.stdout.buffer.write(messages.encode(answer) + b"\n")
    sys.stdout.buffer.flush()
    if error is not None:
        sys.exit(1)


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    """Run the command."""
    try:
        code = command.main(prog_name=_PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (errors.Failure, OSError) as error:
        _tell(f"{_PROGRAM}: {error}")
        sys.exit(1)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _tell(f"{_PROGRAM}: given up; the token is worth nothing now")
        sys.exit(_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)
