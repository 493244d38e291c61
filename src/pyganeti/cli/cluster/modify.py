"""The sub-command ``gnt-cluster modify``."""

from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import following, options, params, policies, recoverysettings, session
from pyganeti.model.config import defaults
from pyganeti.model.opcodes import base, cluster


def _uids(text: str) -> list[tuple[int, int]]:
    """Return ``1000-1999,3000`` as ranges; raises BadInput."""
    found = []
    for piece in filter(None, text.split(",")):
        low, _, high = piece.partition("-")
        try:
            found.append((int(low), int(high or low)))
        except ValueError as error:
            raise errors.BadInput(f"{piece!r} is no user id, and no range of them") from error
    return sorted(found)


_UIDS: Final = params.Parsed("1000-1999,3000", _uids)


@click.command()
@options.force
@click.option("-H", "--hypervisor-parameters", "hvparams", type=params.IDENTIFIED, multiple=True,
              help="For all instances: kvm:acpi=no; NAME=default: as Ganeti has it.")  # fmt: skip
@click.option("-B", "--backend-parameters", "beparams", type=params.BACKEND,
              help="For all instances: memory, vcpus, …")  # fmt: skip
@click.option("-N", "--nic-parameters", "nicparams", type=params.SETTINGS,
              help="For all network cards: mode, link, vlan.")  # fmt: skip
@click.option("--node-parameters", "ndparams", type=params.SETTINGS, help="For all nodes.")
@click.option("-D", "--disk-parameters", "diskparams", type=params.IDENTIFIED, multiple=True,
              help="For all disks of a template, such as rbd:pool=vms.")  # fmt: skip
@policies.options
@click.option("--enabled-hypervisors", metavar="LIST", help="What instances may run on.")
@click.option("--enabled-disk-templates", metavar="LIST", help="How disks may be stored.")
@click.option("-C", "--candidate-pool-size", type=click.IntRange(1),
              help="How many nodes keep a copy of the configuration.")  # fmt: skip
@click.option("--max-running-jobs", type=click.IntRange(1), help="How many jobs run at once.")
@click.option("--max-tracked-jobs", type=click.IntRange(1),
              help="How many running jobs are looked after at once.")  # fmt: skip
@click.option("--uid-pool", type=_UIDS, help="The user ids for instances that have their own.")
@click.option("--add-uids", type=_UIDS, help="Add these to them.")
@click.option("--remove-uids", type=_UIDS, help="Take these from them.")
@click.option("--maintain-node-health", type=params.YES_NO,
              help="Whether nodes look after what should not run on them.")  # fmt: skip
@click.option("--user-shutdown", "enabled_user_shutdown", type=params.YES_NO,
              help="Whether a guest that powers itself off is meant to stay down.")  # fmt: skip
@click.option("--prealloc-wipe-disks", type=params.YES_NO,
              help="Whether new disks are overwritten before use.")  # fmt: skip
@click.option("--modify-etc-hosts", type=params.YES_NO,
              help="Whether the nodes are entered into /etc/hosts.")  # fmt: skip
@click.option("-I", "--default-iallocator", metavar="NAME",
              help="The program that places instances; empty: the built-in one.")  # fmt: skip
@click.option("--default-iallocator-params", type=params.SETTINGS, help="What it is told besides.")
@click.option("-m", "--mac-prefix", metavar="PREFIX",
              help="What the instances' MAC addresses begin with.")  # fmt: skip
@click.option("--master-netdev", metavar="INTERFACE",
              help="Where the master has the cluster's address.")  # fmt: skip
@click.option("--master-netmask", type=click.IntRange(1, 128), metavar="BITS",
              help="That address's netmask.")  # fmt: skip
@click.option("--use-external-mip-script", type=params.YES_NO,
              help="Whether a program of yours takes and gives that address.")  # fmt: skip
@click.option("-g", "--vg-name", metavar="NAME", help="The LVM volume group; empty: none.")
@click.option("--reserved-lvs", metavar="LIST",
              help="Patterns of volumes that verification does not mind.")  # fmt: skip
@click.option("--file-storage-dir", metavar="DIR", help="Where disks of type file are.")
@click.option("--shared-file-storage-dir", metavar="DIR",
              help="Where disks of type sharedfile are.")  # fmt: skip
@click.option("--gluster-storage-dir", metavar="DIR", help="Where Gluster volumes are mounted.")
@click.option("--install-image", metavar="PATH|URL", help="For installing in a guest of its own.")
@click.option("--zeroing-image", metavar="PATH|URL", help="For overwriting free space.")
@click.option("--compression-tools", metavar="LIST",
              help="Programs that transfers may use; empty: the usual ones.")  # fmt: skip
@click.option("--hypervisor-state", "hv_state", type=params.IDENTIFIED, multiple=True,
              help="What machines have, unless a node differs: kvm:mem_total=….")  # fmt: skip
@click.option("--enabled-data-collectors", type=params.SETTINGS,
              help="Which collectors of Ganeti's ganeti-mond run: lv=yes.")  # fmt: skip
@click.option("--data-collector-interval", type=params.SETTINGS,
              help="How often they do, in seconds: cpu-avg-load=5.")  # fmt: skip
@recoverysettings.of_many
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    force: bool,
    how: options.How,
    **given: Any,  # noqa: ANN401 - an option each
) -> int:
    """Change the cluster's settings, and the parameters that all its instances inherit."""
    policy = policies.taken(given)
    falling = recoverysettings.taken(given)
    changes = {name: value for name, value in given.items() if value not in (None, ())}
    if not (changes or policy or falling):
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    opcodes: list[base.Opcode] = []
    if changes or policy:
        opcodes.append(
            cluster.ClusterSetParams(force=force, ipolicy=policy or None, **_understood(changes))
        )
    opcodes += recoverysettings.opcodes(current, "cluster", "", falling)
    if opcodes:
        following.do(current, opcodes, how)
        return 0
    current.tell("It is so already.")
    if how.as_json:
        current.out_json(None)
    return 0


def _understood(changes: dict[str, Any]) -> dict[str, Any]:
    """Return what was typed as the opcode has it; raises BadInput by name."""
    found = dict(changes)
    for name in ("enabled_hypervisors", "enabled_disk_templates", "reserved_lvs",
                 "compression_tools"):  # fmt: skip
        if name in found:
            found[name] = [word for word in found[name].split(",") if word]
    for name, right, what in (
        ("nicparams", defaults.NIC, "NIC parameters"),
        ("ndparams", defaults.NODE, "node parameters"),
    ):
        if name in found:
            found[name] = params.typed(found[name], right, what)
    if "hvparams" in found:
        found["hvparams"] = params.by_name(found["hvparams"], defaults.HYPERVISORS, "hypervisor")
    if "diskparams" in found:
        found["diskparams"] = params.by_name(found["diskparams"], defaults.DISKS, "disk template")
    if "hv_state" in found:
        known = dict.fromkeys(defaults.HYPERVISORS, defaults.HYPERVISOR_STATE)
        found["hv_state"] = params.by_name(found["hv_state"], known, "hypervisor")
    if "enabled_data_collectors" in found:
        known_collectors = dict.fromkeys(defaults.COLLECTORS, True)
        found["enabled_data_collectors"] = params.typed(
            found["enabled_data_collectors"], known_collectors, "data collectors"
        )
    if "data_collector_interval" in found:
        intervals = params.typed(
            found["data_collector_interval"],
            dict.fromkeys(defaults.COLLECTORS, 0.0),
            "data collectors",
        )
        found["data_collector_interval"] = {
            name: int(seconds * 1e6) for name, seconds in intervals.items()
        }
    return found
