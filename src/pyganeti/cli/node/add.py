"""The sub-command ``gnt-node add``."""

import asyncio
import sys
from typing import Any, Final

import click

from pyganeti.base import errors, resolving, services
from pyganeti.cli import completing, following, options, params, session
from pyganeti.cli.bootstrap import inviting
from pyganeti.model.config import defaults
from pyganeti.model.opcodes import node as opcodes
from pyganeti.wire import joining

_AF_INET6: Final = 10
_PATIENCE: Final = 10.0
_STATED: Final = params.Parsed("id:a=1,b=2", params.identified)


@click.command()
@click.argument("name", metavar="NODE")
@click.option(
    "--token",
    metavar="TOKEN",
    help="The word that ganeti-node-join has printed on NODE; - asks for it, so that it is in no"
    " list of processes.",
)
@click.option(
    "-s",
    "--secondary-ip",
    metavar="ADDRESS",
    help="Its address in the network for disks' data, where the cluster has one.",
)
@click.option("--readd", is_flag=True, help="Take in again a node that is in the cluster.")
@click.option(
    "-g",
    "--node-group",
    "group",
    metavar="GROUP",
    shell_complete=completing.groups,
    help="The group it belongs to.",
)
@click.option("--master-capable", type=params.YES_NO, help="Whether it may become the master.")
@click.option("--vm-capable", type=params.YES_NO, help="Whether it may have instances.")
@click.option(
    "--node-parameters", "ndparams", type=params.SETTINGS, help="Its own, where they differ."
)
@click.option(
    "--hypervisor-state",
    "hv_state",
    type=_STATED,
    multiple=True,
    help="What to record of its resources, such as kvm:mem_total=65536.",
)
@click.option(
    "--disk-state",
    "disk_state",
    type=_STATED,
    multiple=True,
    help="What to record of its storage, such as plain/xenvg:disk_total=100000.",
)
@click.option(
    "--no-ssh-key-check",
    "ssh_key_check",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not compare the machine's ssh key with what is known of it.",
)
@options.job(dry_run=False)
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    name: str,
    token: str | None,
    secondary_ip: str | None,
    readd: bool,
    group: str | None,
    ssh_key_check: bool,
    how: options.How,
    **given: Any,  # noqa: ANN401 - an option each
) -> int:
    """Take the machine NODE into the cluster.

    pyganeti has to be installed there. What makes it a node goes there over ssh, as root; where
    there is no ssh, run ganeti-node-join there and give its token. A machine whose node daemon
    belongs to the cluster already needs neither.
    """
    shown = None if token is None else joining.Token.decode(_typed(current, token))
    info = current.client.query_cluster_info()
    host, is_resolved = _host(name, shown, ipv6=info.get("primary_ip_family") == _AF_INET6)
    rows = current.client.query_nodes([], ["name", "sip", "role"])
    known = next((row for row in rows if row[0] == host.name), None)
    _check_known(host.name, known, readd=readd)
    ssh_port = _ssh_port(current, group)
    opcode = opcodes.NodeAdd(
        node_name=host.name,
        primary_ip=None if is_resolved else host.address,
        secondary_ip=known[1] if known else secondary_ip,
        readd=readd,
        group=group,
        master_capable=given["master_capable"],
        vm_capable=given["vm_capable"],
        ndparams=params.typed(given["ndparams"] or {}, defaults.NODE, "node parameters") or None,
        hv_state=_stated(given["hv_state"]),
        disk_state=_named(given["disk_state"]),
    )
    _hand_over(current, host, shown, info, ssh_port, ssh_key_check=ssh_key_check)
    following.do(current, [opcode], how)
    return 0


def _typed(current: session.Session, word: str) -> str:
    """Return the token, asked for if it is a dash."""
    if word != "-":
        return word
    if current.can_ask:
        return str(click.prompt("The token that ganeti-node-join has printed", err=True))
    return sys.stdin.readline()


def _host(name: str, token: joining.Token | None, *, ipv6: bool) -> tuple[resolving.Host, bool]:
    """Return the machine's full name and address, and whether the resolver knows them.

    The token's address serves a machine that has no entry in any list of names yet.
    """
    found = resolving.resolve(name, ipv6=ipv6)
    if found is not None:
        return found, True
    if token is not None:
        return resolving.Host(name.rstrip(".").lower(), token.address), False
    raise errors.BadInput(
        f"the name {name} does not resolve here: enter it into the DNS or /etc/hosts",
        "resolver_error",
    )


def _check_known(name: str, known: list[Any] | None, *, readd: bool) -> None:
    if readd and not known:
        raise errors.BadInput(f"Node {name} not in the cluster - please retry without '--readd'")
    if readd and known and known[2] == "M":
        raise errors.BadInput(f"Node {name} is the master, cannot readd")
    if known and not readd:
        raise errors.BadInput(
            f"Node {name} already in the cluster - please retry with '--readd'", "already_exists"
        )


def _hand_over(
    current: session.Session,
    host: resolving.Host,
    token: joining.Token | None,
    info: dict[str, Any],
    ssh_port: int,
    *,
    ssh_key_check: bool,
) -> None:
    """See to it that the machine's node daemon runs and is the cluster's."""
    if _answers(current, host.address):
        current.tell(f"{host.name} has the cluster's certificate and its node daemon runs")
        return
    bundle = inviting.bundle(current.layout, info, host.name)
    if token is not None:
        current.tell(f"handing over to {token.address}, who shows the token's certificate")
        inviting.by_token(token, bundle)
    else:
        current.tell(f"handing over to {host.name} by ssh")
        inviting.by_ssh(
            host.name,
            ssh_port,
            bundle,
            can_ask=current.can_ask,
            check=ssh_key_check,
        )


def _answers(current: session.Session, address: str) -> bool:
    """Tell whether a node daemon there takes the master's certificate."""
    from pyganeti.clients import node

    async def ask() -> bool:
        async with node.Caller(
            node.context_of(current.layout), port=services.port("ganeti-noded")
        ) as caller:
            try:
                await caller.call(address, "version", timeout=_PATIENCE)
            except errors.Failure:
                return False
            return True

    return asyncio.run(ask())


def _ssh_port(current: session.Session, group: str | None) -> int:
    """Return where ssh listens in a group; raises BadInput if there is no such group."""
    rows = current.client.query_groups([group] if group else [], ["ndp/ssh_port"])
    if group and not rows:
        raise errors.BadInput(f"Node group '{group}' not known", "unknown_entity")
    return int(rows[0][0]) if rows else int(defaults.NODE["ssh_port"])


def _stated(given: tuple[tuple[str, dict[str, Any]], ...]) -> dict[str, Any] | None:
    """Return states by their id, the values as numbers."""
    return {name: _numbers(values) for name, values in given} or None


def _named(given: tuple[tuple[str, dict[str, Any]], ...]) -> dict[str, Any] | None:
    """Return states by kind and name, which stand in an id as ``kind/name``."""
    found: dict[str, Any] = {}
    for where, values in given:
        kind, slash, name = where.partition("/")
        if not slash:
            raise errors.BadInput(f"{where!r} is no storage such as plain/xenvg")
        found.setdefault(kind, {})[name] = _numbers(values)
    return found or None


def _numbers(values: dict[str, Any]) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in values.items()}
    except (TypeError, ValueError) as error:
        raise errors.BadInput(f"these are no numbers: {values}") from error
