"""The sub-command ``gnt-instance add``."""

from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, params, recoverysettings, session
from pyganeti.cli.instance import describing
from pyganeti.model.opcodes import instance

TEMPLATES: Final = ("diskless", "file", "sharedfile", "plain", "blockdev", "rbd", "ext", "gluster")


@click.command()
@click.argument("name")
@click.option(
    "-t",
    "--disk-template",
    type=click.Choice(TEMPLATES),
    help="How its disks are stored; else the first that the cluster has enabled.",
)
@click.option(
    "-n",
    "--node",
    "pnode",
    metavar="NODE[:SECONDARY]",
    shell_complete=completing.nodes,
    help="The node that it goes to; else one is chosen. A secondary is for mirrored disks.",
)
@click.option(
    "-I",
    "--iallocator",
    metavar="NAME",
    help="What chooses the node: a program, or 'builtin'; '.' is the cluster's default.",
)
@click.option(
    "-G",
    "--node-group",
    metavar="GROUP",
    shell_complete=completing.groups,
    help="Choose among this group's nodes only.",
)
@click.option(
    "-o",
    "--os-type",
    metavar="OS",
    shell_complete=completing.oses,
    help="Its operating system, with the variant: debian+trixie. Needed.",
)
@click.option(
    "-s", "--os-size", "size", type=params.AMOUNT, help="One disk of this size, instead of --disk."
)
@click.option(
    "--disk",
    "disks",
    type=params.IDENTIFIED,
    multiple=True,
    metavar="N:size=SIZE[,mode=ro][,name=…][,vg=…][,adopt=…]",
    help="A disk; adopt takes one that is there: a volume, device or file. Repeatable.",
)
@click.option(
    "--net",
    "nics",
    type=params.IDENTIFIED,
    multiple=True,
    metavar="N[:mac=…][,ip=…][,mode=…][,link=…][,vlan=…][,network=…][,name=…]",
    help="A network card; there is one if nothing is said. Repeatable.",
)
@click.option("--no-nics", is_flag=True, help="No network card.")
@click.option(
    "-H",
    "--hypervisor-parameters",
    "hypervisor",
    type=params.IDENTIFIED,
    metavar="kvm:acpi=no,…",
    help="The hypervisor, and its parameters.",
)
@click.option(
    "-B", "--backend-parameters", "beparams", type=params.BACKEND, help="Memory and processors."
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
@click.option(
    "--os-parameters-secret",
    "osparams_secret",
    type=params.SETTINGS,
    help="Likewise, not even kept.",
)
@click.option("--tags", metavar="A,B", help="Its tags.")
@click.option("--no-start", is_flag=True, help="Do not start it.")
@click.option("--no-install", is_flag=True, help="Put nothing on its disks; it is not started.")
@click.option(
    "--name-check/--no-name-check",
    default=True,
    help="Whether its name has to resolve (it has to, unless told otherwise).",
)
@click.option(
    "--ip-check/--no-ip-check", default=True, help="Whether nobody must have its address yet."
)
@click.option(
    "--conflicts-check/--no-conflicts-check",
    default=True,
    help="Whether its addresses must be in none of the cluster's networks.",
)
@click.option(
    "--wait-for-sync/--no-wait-for-sync",
    default=True,
    help="For Ganeti's sake: no disk has copies here.",
)
@click.option("--force-variant", is_flag=True, help="Take a variant that the OS does not have.")
@click.option("--ignore-ipolicy", is_flag=True, help="Whatever the group's policy says.")
@click.option(
    "--file-storage-dir", metavar="DIR", help="Its files' directory, below the cluster's."
)
@click.option(
    "--file-driver", type=click.Choice(["loop", "blktap", "blktap2"]), help="How files are reached."
)
@click.option(
    "--opportunistic-locking",
    is_flag=True,
    help="For Ganeti's sake: choosing a node waits for no other instance here anyway.",
)
@recoverysettings.of_new_instance
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    how: options.How,
    name: str,
    size: int | None,
    disks: tuple[tuple[str, dict[str, Any]], ...],
    nics: tuple[tuple[str, dict[str, Any]], ...],
    no_nics: bool,
    hypervisor: tuple[str, dict[str, Any]] | None,
    tags: str | None,
    no_start: bool,
    no_install: bool,
    name_check: bool,
    ip_check: bool,
    node_group: str | None,
    **given: Any,  # noqa: ANN401 - what goes into the opcode as it is
) -> int:
    """Create an instance: its disks, its operating system, and its first start.

    \b
    gnt-instance add -t file -o image -O image=/srv/debian.qcow2,sha256=… \\
        --disk 0:size=10g -B memory=2g,vcpus=2 web1.example.com
    """  # noqa: D301 - click's mark for lines that stay as they are
    kind, hvparams = hypervisor or (None, {})
    node, _, second = (given.pop("pnode") or "").partition(":")
    given |= {"pnode": node or None, "snode": second or None}
    falling = recoverysettings.taken(given)
    results = following.run(
        current,
        [
            instance.InstanceCreate(
                mode="create",
                instance_name=name,
                disks=_disks(given["disk_template"], size, disks),
                nics=_nics(nics, no_nics=no_nics),
                hypervisor=_kind(kind),
                hvparams=params.hypervisor(hvparams),
                start=not (no_start or no_install),
                no_install=no_install,
                name_check=name_check,
                ip_check=ip_check and name_check,
                tags=[
                    *(tag for tag in (tags or "").split(",") if tag),
                    *recoverysettings.new_tags(falling),
                ],
                group_name=node_group,
                **{key: value for key, value in given.items() if value is not None},
            )
        ],
        how,
    )
    if how.as_json and results is not None:
        current.out_json(results[0])
    return 0


def _disks(
    template: str | None, size: int | None, described: tuple[tuple[str, dict[str, Any]], ...]
) -> list[dict[str, Any]]:
    if size is not None:
        if described:
            raise errors.BadInput("-s is one disk's size: give that, or --disk")
        return [{"size": size}]
    if not described and template != "diskless":
        raise errors.BadInput("it needs a disk: --disk 0:size=10g (or -t diskless)")
    return describing.disks(described)


def _nics(
    described: tuple[tuple[str, dict[str, Any]], ...], *, no_nics: bool
) -> list[dict[str, Any]]:
    if no_nics:
        if described:
            raise errors.BadInput("--no-nics and --net: it has cards or it has not")
        return []
    return describing.cards(described) or [{}]


def _kind(named: str | None) -> Any:  # noqa: ANN401 - a hypervisor's name
    if named in {None, "kvm"}:
        return named
    raise errors.BadInput(f"there is no hypervisor {named!r} here: kvm")
