"""The sub-command ``gnt-instance modify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import (
    asking,
    completing,
    following,
    options,
    params,
    recoverysettings,
    session,
)
from pyganeti.cli.instance import add, changing
from pyganeti.model.opcodes import base, instance

_LATER = (
    "Please don't forget that most parameters take effect only at the next (re)start of the"
    " instance initiated by ganeti; restarting from within the instance will not be enough."
)

_CHANGES = (
    "beparams",
    "runtime_mem",
    "hvparams",
    "os_name",
    "osparams",
    "osparams_private",
    "disk_template",
    "pnode",
    "offline",
)
"""The options that change something by themselves."""


@click.command()
@click.argument("name", shell_complete=completing.instances)
@options.force
@click.option(
    "-B",
    "--backend-parameters",
    "beparams",
    type=params.BACKEND,
    help="Memory and processors, from the next start on.",
)
@click.option(
    "-m",
    "--runtime-memory",
    "runtime_mem",
    type=params.AMOUNT,
    help="The memory that it has while it runs on; within its least and most.",
)
@click.option(
    "-H",
    "--hypervisor-parameters",
    "hvparams",
    type=params.HYPERVISOR,
    help="Hypervisor parameters, from the next start on.",
)
@click.option(
    "--net",
    "nics",
    type=params.IDENTIFIED,
    multiple=True,
    metavar="add[:…]|N:remove|N:link=…,ip=…",
    help="Add, remove or change a network card. Repeatable.",
)
@click.option(
    "--disk",
    "disks",
    type=params.IDENTIFIED,
    multiple=True,
    metavar="add:size=…|attach:uuid=…|N:remove|N:detach|N:mode=…,name=…",
    help="Add, attach, remove, detach or change a disk. Repeatable.",
)
@click.option(
    "--hotplug/--no-hotplug",
    default=None,
    help="Change devices of the running guest, too, or not before its next start."
    " Unless said: where that is possible, but a card that is changed is not.",
)
@click.option(
    "--hotplug-if-possible",
    is_flag=True,
    help="Change devices of the running guest where that is possible, cards included.",
)
@click.option(
    "-o",
    "--os-type",
    "os_name",
    metavar="OS",
    help="Its operating system from now on; nothing is installed.",
)
@click.option(
    "-O", "--os-parameters", "osparams", type=params.SETTINGS, help="What its OS is to know."
)
@click.option(
    "--os-parameters-private",
    "osparams_private",
    type=params.SETTINGS,
    help="Likewise, kept but shown to nobody.",
)
@click.option("--force-variant", is_flag=True, help="Take a variant that the OS does not have.")
@click.option(
    "-t",
    "--disk-template",
    type=click.Choice(add.TEMPLATES),
    help="Put its disks into others of this kind; it has to be down.",
)
@click.option(
    "-e",
    "--ext-params",
    type=params.SETTINGS,
    metavar="provider=NAME,…",
    help="The provider of the new disks, for -t ext.",
)
@click.option(
    "--file-storage-dir", metavar="DIR", help="The directory of new files, below the cluster's."
)
@click.option(
    "--file-driver",
    type=click.Choice(["loop", "blktap", "blktap2"]),
    help="How new files are reached.",
)
@click.option(
    "-n",
    "--node",
    "remote_node",
    metavar="NODE",
    shell_complete=completing.nodes,
    help="The secondary node, for disks that two nodes mirror.",
)
@click.option("-I", "--iallocator", metavar="NAME", help="What chooses that node.")
@click.option(
    "--new-primary",
    "pnode",
    metavar="NODE",
    shell_complete=completing.nodes,
    help="The node where it is from now on: its disks have been brought there already.",
)
@click.option(
    "--offline",
    "offline",
    flag_value=True,
    default=None,
    type=bool,
    help="Do not count with it any more; it has to be down.",
)
@click.option(
    "--online", "offline", flag_value=False, type=bool, help="Count with it again, as down."
)
@click.option("--ignore-ipolicy", is_flag=True, help="Whatever the group's policy says.")
@click.option(
    "--conflicts-check/--no-conflicts-check",
    default=True,
    help="Whether addresses must be in none of the cluster's networks.",
)
@click.option(
    "--wait-for-sync/--no-wait-for-sync",
    default=True,
    help="For Ganeti's sake: no disk has copies here.",
)
@recoverysettings.of_instance
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    how: options.How,
    name: str,
    nics: tuple[tuple[str, dict[str, Any]], ...],
    disks: tuple[tuple[str, dict[str, Any]], ...],
    hotplug: bool | None,
    hotplug_if_possible: bool,
    **given: Any,  # noqa: ANN401 - what goes into the opcode as it is
) -> int:
    """Change an instance: parameters, network cards, disks, its node, what is done when it falls.

    \b
    gnt-instance modify -B memory=2g,vcpus=2 web1
    gnt-instance modify --disk add:size=10g --net add:link=br1 web1
    gnt-instance modify --net 0:ip=none --disk 1:remove web1
    gnt-instance modify --on-stop user-poweroff=restart,killed=leave web1
    """  # noqa: D301 - click's mark for lines that stay as they are
    force, pnode = given["force"], given["pnode"]
    cards, drives = changing.cards(nics), changing.disks(disks)
    exchanges = any(action == "modify" for action, _, _ in cards)
    possible = hotplug_if_possible or (hotplug is None and not exchanges)
    is_said = hotplug is not None or hotplug_if_possible
    if hotplug is False and hotplug_if_possible:
        raise errors.BadInput("--no-hotplug and --hotplug-if-possible: one of them")
    if exchanges and (hotplug or hotplug_if_possible):
        asking.confirm(
            current,
            "A network card is changed by taking it away and giving the guest another: it may"
            " lose its connections. Continue?",
            force=force,
        )
    gone = [f"{which}" for action, which, _ in drives if action == "remove"]
    if gone and current.can_ask:
        asking.confirm(
            current,
            f"This removes {len(gone)} of {name}'s disks with all that is on it. Continue?",
            force=force or how.dry_run,
        )
    falling = recoverysettings.taken(given)
    is_changed = bool(cards or drives or any(given[name] is not None for name in _CHANGES))
    if not (is_changed or falling):
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    opcodes: list[base.Opcode] = []
    if is_changed:
        opcodes.append(
            instance.InstanceSetParams(
                instance_name=name,
                nics=cards,
                disks=drives,
                hotplug=bool(hotplug),
                hotplug_if_possible=possible,
                **{key: value for key, value in given.items() if value is not None},
            )
        )
    opcodes += recoverysettings.opcodes(current, "instance", name, falling)
    results = following.run(current, opcodes, how) if opcodes else []
    if results is None:
        return 0
    changes = [*((is_changed and results[0]) or ()), *falling.changes]
    if how.as_json:
        current.out_json(changes)
        return 0
    current.out(f"Modified instance {name}" if not how.dry_run else f"{name} can be modified so")
    for what, value in changes:
        current.out(f" - {what:<5} -> {value}")
    if exchanges and not is_said:
        current.tell("A running guest has its old card until then; --hotplug exchanges it at once.")
    if is_changed and pnode is None and not how.dry_run:
        current.tell(_LATER)
    return 0
