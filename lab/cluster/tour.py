"""What a person does with the cluster of ``make cluster`` besides its own commands.

``python -m lab.cluster.tour`` runs on the first node, by the functions in the shell file that
``make cluster`` writes. ``call`` makes one call of the node RPC; ``guest`` talks to the tiny guests
over their serial lines: which node one runs on, the nodes say.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from lab import consoles, guests
from lab.cluster import calls, machines
from pyganeti.base import errors, paths

DOES: Final = {
    "off": "have NAME power itself off from inside",
    "count": "have NAME count: it goes on after a move, and begins anew after a start",
}


class Here:
    """The cluster as seen from one of its nodes."""

    def __init__(self, layout: paths.Paths) -> None:
        self._layout = layout
        names = layout.ssconf("node_list").read_text().split()
        self.nodes = [machines.Node(n, layout.root.parent) for n in range(1, len(names) + 1)]
        self.shared = layout.root.parent / "shared"

    @property
    def master(self) -> machines.Node:
        """The first node."""
        return self.nodes[0]

    def caller(self) -> calls.Caller:
        """Return what calls nodes with this node's certificate."""
        own, authority = self._layout.client_certificate, self._layout.server_certificate
        return calls.Caller(None, own.read_bytes(), authority.read_bytes())

    def node(self, name: str) -> machines.Node:
        """Return a node by its name, short or long; raises BadInput."""
        for node in self.nodes:
            if name in {node.port, node.name}:
                return node
        raise errors.BadInput(f"there is no node {name}")


def main() -> int:
    """Do one thing; return the exit status."""
    options = _parser().parse_args()
    here = Here(paths.Paths.from_environment(os.environ))
    try:
        if options.what == "call":
            node = here.node(options.node)
            arguments = [_argument(word) for word in options.arguments]
            said = here.caller().call(node.address, options.call, *arguments)
            print(msgspec.json.format(msgspec.json.encode(said)).decode())
        else:
            _guest(here, options.do, options.name)
    except (errors.Failure, TimeoutError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _guest(here: Here, do: str, name: str) -> None:
    on = _where(here).get(name)
    if on is None:
        raise errors.BadInput(f"{name} does not run")
    _tell(do, on.layout.ctrl_dir / f"{name}.serial")


def _tell(do: str, serial: Path) -> None:
    with consoles.Console(serial) as console:
        console.wait_up()
        if do == "count":
            print(console.count())
        else:
            console.say(guests.Command.POWER_OFF)


def _where(here: Here) -> dict[str, machines.Node]:
    """Return where which guests run."""
    caller, found = here.caller(), {}
    for node in here.nodes:
        for name in caller.call(node.address, "instance_list", ["kvm"], {}):
            found[name] = node
    return found


def _argument(word: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(word)
    except ValueError:
        return word


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tour", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    calling = what.add_parser("call", prog="call")
    calling.add_argument("node")
    calling.add_argument("call")
    calling.add_argument("arguments", nargs="*", help="each JSON, or a word")
    guest = what.add_parser("guest", prog="guest")
    guest.add_argument(
        "do", choices=DOES, help="; ".join(f"{word}: {words}" for word, words in DOES.items())
    )
    guest.add_argument("name")
    return parser


def shell(place: Path, nodes: list[machines.Machine]) -> str:
    """Return the shell file: functions for any POSIX shell."""
    checkout = Path(__file__).parents[2]
    # In a user namespace of one's own only its owner can come in, and has to say so.
    plain = Path("/proc/self/uid_map").read_text().split()[2] != str(2**32 - 1)
    user = "--user --preserve-credentials " if plain else ""
    cases = "\n".join(f"    {n.port} | {n.name}) pid={n.namespace.pid} ;;" for n in nodes)
    kinds = " ".join(nodes[0].namespace.prefix[2:])
    domain, path = machines.DOMAIN, nodes[0].variables["PATH"]
    return f"""\
# The functions on, call and guest, for the cluster in {place}.

on() {{
    node=$1
    case $node in
{cases}
    *) echo "usage: on {"|".join(node.port for node in nodes)} [COMMAND...]" >&2; return 2 ;;
    esac
    node=${{node%.{domain}}}
    shift
    [ $# -gt 0 ] || set -- "${{SHELL:-/bin/sh}}"
    nsenter --target="$pid" {user}{kinds} \\
        env GANETI_ROOTDIR="{place}/$node" GANETI_HOSTNAME="$node.{domain}" \\
        PATH="{path}" "$@"
}}

call() {{
    on node1 env PYTHONPATH="{checkout}" "{sys.executable}" -m lab.cluster.tour call "$@"
}}

guest() {{
    on node1 env PYTHONPATH="{checkout}" "{sys.executable}" -m lab.cluster.tour guest "$@"
}}
"""


if __name__ == "__main__":
    sys.exit(main())
