"""The sub-command ``gnt-cluster init``."""

import os
import re
import time
import uuid
from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import following, options, params, policies, session
from pyganeti.cli.bootstrap import creating, finding, storing
from pyganeti.cli.cluster import convert_store
from pyganeti.model.config import defaults, initial
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster

_TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TEMPLATES = ("file", "sharedfile", "diskless")


@click.command()
@click.argument("name")
@click.option(
    "--master-ip",
    metavar="ADDRESS",
    help="The cluster's own address; else what its name resolves to.",
)
@click.option(
    "--master-netdev",
    metavar="INTERFACE",
    help="Where the master has the cluster's address; else where its own is.",
)
@click.option(
    "--master-netmask",
    type=click.IntRange(0, 128),
    metavar="BITS",
    help="The cluster address's netmask; else that of a single host.",
)
@click.option(
    "--primary-ip", metavar="ADDRESS", help="This node's address; else what its name resolves to."
)
@click.option(
    "-s",
    "--secondary-ip",
    metavar="ADDRESS",
    help="Its address in a network for disks' data, where there is one.",
)
@click.option(
    "--primary-ip-version",
    type=click.Choice(["4", "6"]),
    default="4",
    show_default=True,
    help="Which kind of addresses the cluster's and the nodes' own are.",
)
@click.option(
    "-m",
    "--mac-prefix",
    default=defaults.MAC_PREFIX,
    show_default=True,
    help="What the instances' MAC addresses begin with.",
)
@click.option(
    "--enabled-disk-templates",
    metavar="LIST",
    help="How disks may be stored: file, sharedfile, diskless, plain, rbd, …",
)
@click.option("-g", "--vg-name", metavar="NAME", help="The LVM volume group for plain disks.")
@click.option("--file-storage-dir", metavar="DIR", help="Where disks of type file are.")
@click.option(
    "--shared-file-storage-dir",
    metavar="DIR",
    help="Where disks of type sharedfile are: the same storage on every node.",
)
@click.option("--gluster-storage-dir", metavar="DIR", help="Where Gluster volumes are mounted.")
@click.option(
    "--enabled-hypervisors",
    type=click.Choice(["kvm"]),
    default="kvm",
    show_default=True,
    help="What instances run under.",
)
@click.option(
    "-H",
    "--hypervisor-parameters",
    "hvparams",
    type=params.IDENTIFIED,
    multiple=True,
    help="For all instances, unless they have their own, such as kvm:acpi=no.",
)
@click.option(
    "-B",
    "--backend-parameters",
    "beparams",
    type=params.BACKEND,
    help="For all instances, unless they have their own.",
)
@click.option(
    "-N",
    "--nic-parameters",
    "nicparams",
    type=params.SETTINGS,
    help="For all network cards: mode, link, vlan.",
)
@click.option("--node-parameters", "ndparams", type=params.SETTINGS, help="For all nodes.")
@click.option(
    "-D",
    "--disk-parameters",
    "diskparams",
    type=params.IDENTIFIED,
    multiple=True,
    help="For all disks of a template, such as rbd:pool=vms.",
)
@click.option(
    "-C",
    "--candidate-pool-size",
    type=click.IntRange(1),
    default=defaults.CANDIDATE_POOL_SIZE,
    show_default=True,
    help="How many nodes keep a copy of the configuration.",
)
@click.option(
    "--user-shutdown",
    "enabled_user_shutdown",
    type=params.YES_NO,
    default=True,
    show_default=True,
    help="Whether a guest that powers itself off is meant to stay down.",
)
@click.option(
    "--maintain-node-health",
    type=params.YES_NO,
    default=False,
    show_default=True,
    help="Whether nodes look after what should not run on them.",
)
@click.option(
    "--prealloc-wipe-disks",
    type=params.YES_NO,
    default=False,
    show_default=True,
    help="Whether new disks are overwritten before use.",
)
@click.option(
    "-I",
    "--default-iallocator",
    metavar="NAME",
    default="",
    help="The program that places instances; else the built-in one.",
)
@click.option(
    "--default-iallocator-params",
    type=params.SETTINGS,
    help="What that program is told besides.",
)
@click.option(
    "--use-external-mip-script",
    type=params.YES_NO,
    default=False,
    show_default=True,
    help="Have /etc/ganeti/scripts/master-ip-setup take the cluster's address.",
)
@click.option(
    "--uid-pool", metavar="RANGES", default="", help="Users for instances: 4000-4019,4030."
)
@click.option(
    "--install-image", metavar="PATH", default="", help="What OS installations start from."
)
@click.option("--zeroing-image", metavar="PATH", default="", help="What zeroes disks for exports.")
@click.option("--compression-tools", metavar="LIST", help="What may pack transfers.")
@policies.options
@click.option(
    "--store",
    type=click.Choice(["files", "etcd"]),
    default="files",
    show_default=True,
    help="What the cluster is kept in: see docs/operations.",
)
@convert_store.tls_options
@click.option(
    "--modify-etc-hosts/--no-etc-hosts", default=False, help="Enter the nodes into /etc/hosts."
)
@click.pass_obj
def command(current: session.Session, /, *, name: str, **given: Any) -> int:  # noqa: ANN401 - an option each
    """Make this machine the first node of a new cluster called NAME.

    NAME should resolve to an address of its own, which the master takes; everything else is found
    out. If a step fails all is taken back.
    """
    if os.geteuid() != 0:
        raise errors.Denied("a cluster is made by root")
    creating.refuse_second(current.layout)
    snapshot = _configuration(current, name.lower().rstrip("."), given)
    creating.create(
        current.layout, snapshot, _store(snapshot, given), say=current.tell, warn=current.tell
    )
    following.run(current, [cluster.ClusterPostInit()], options.How())
    current.out(
        f"cluster {snapshot.cluster.cluster_name} runs, its master {snapshot.master.name}; next:\n"
        "  gnt-cluster verify       see whether all is well\n"
        "  gnt-node add NODE        take in another machine\n"
        "  gnt-instance add --help  make an instance"
    )
    return 0


def _store(snapshot: Snapshot, given: dict[str, Any]) -> creating.Store | None:
    """Return what the cluster is to be kept in, None for files; raises BadInput."""
    certificates = {
        "authority": given["etcd_tls_ca"],
        "certificate": given["etcd_tls_cert"],
        "key": given["etcd_tls_key"],
    }
    said = given["etcd_endpoints"] or given["etcd_prefix"] or any(certificates.values())
    if given["store"] != "etcd":
        if said:
            raise errors.BadInput("options about etcd go with --store etcd")
        return None
    words = [word.strip() for word in given["etcd_endpoints"].split(",") if word.strip()]
    name = snapshot.cluster.cluster_name
    kept = storing.wanted(name, words, given["etcd_prefix"], **certificates)
    return creating.Store(kept, certificates)


def _configuration(current: session.Session, name: str, given: dict[str, Any]) -> Snapshot:
    """Return the new cluster's configuration; raises BadInput for what it cannot be."""
    layout = current.layout
    ipv6 = given["primary_ip_version"] == "6"
    node = finding.node_name(layout)
    if name == node:
        raise errors.BadInput("the cluster needs a name of its own, other than the node's")
    here = finding.interfaces()
    primary = given["primary_ip"] or finding.primary_address(node, here, ipv6=ipv6)
    interface = finding.interface_of(primary, here)
    master = given["master_ip"] or finding.cluster_address(name, ipv6=ipv6)
    if given["secondary_ip"]:
        finding.interface_of(given["secondary_ip"], here)
    templates = _templates(given)
    nicparams = params.typed(given["nicparams"] or {}, defaults.NIC, "NIC parameters")
    ndparams = params.typed(given["ndparams"] or {}, defaults.NODE, "node parameters")
    diskparams = {
        template: params.typed(
            settings, defaults.DISKS.get(template, {}), f"parameters of {template} disks"
        )
        for template, settings in given["diskparams"]
    }
    srv = layout.root / "srv/ganeti"
    return initial.make(
        initial.Wanted(
            cluster_name=name,
            node_name=node,
            primary_ip=primary,
            secondary_ip=given["secondary_ip"] or "",
            master_ip=master,
            master_netdev=given["master_netdev"] or interface,
            master_netmask=given["master_netmask"] or (128 if ipv6 else 32),
            cluster_uuid=str(uuid.uuid4()),
            group_uuid=str(uuid.uuid4()),
            node_uuid=str(uuid.uuid4()),
            now=time.time(),
            mac_prefix=given["mac_prefix"],
            enabled_hypervisors=(given["enabled_hypervisors"],),
            enabled_disk_templates=templates,
            hvparams=_hypervisors(given["hvparams"]),
            beparams=given["beparams"] or {},
            nicparams=nicparams,
            ndparams=ndparams,
            diskparams=diskparams,
            ipolicy=policies.taken(given),
            settings={
                "volume_group_name": given["vg_name"],
                "file_storage_dir": given["file_storage_dir"] or str(srv / "file-storage"),
                "shared_file_storage_dir": given["shared_file_storage_dir"]
                or str(srv / "shared-file-storage"),
                "gluster_storage_dir": given["gluster_storage_dir"] or str(srv / "gluster"),
                "candidate_pool_size": given["candidate_pool_size"],
                "enabled_user_shutdown": given["enabled_user_shutdown"],
                "maintain_node_health": given["maintain_node_health"],
                "prealloc_wipe_disks": given["prealloc_wipe_disks"],
                "default_iallocator": given["default_iallocator"],
                "default_iallocator_params": given["default_iallocator_params"] or {},
                "use_external_mip_script": given["use_external_mip_script"],
                "uid_pool": params.ranges(given["uid_pool"]),
                "install_image": given["install_image"],
                "zeroing_image": given["zeroing_image"],
                "compression_tools": _tools(given["compression_tools"]),
                "modify_etc_hosts": given["modify_etc_hosts"],
                "modify_ssh_setup": False,
                "primary_ip_family": 10 if ipv6 else 2,
            },
        )
    )


def _templates(given: dict[str, Any]) -> tuple[str, ...]:
    """Return the disk templates that the cluster is to have."""
    said = given["enabled_disk_templates"]
    if said:
        return tuple(dict.fromkeys(word for word in said.split(",") if word))
    return (*_TEMPLATES, "plain") if given["vg_name"] else _TEMPLATES


def _hypervisors(given: tuple[tuple[str, dict[str, Any]], ...]) -> dict[str, dict[str, Any]]:
    """Return parameters by hypervisor; raises BadInput for one that there is not."""
    found: dict[str, dict[str, Any]] = {"kvm": {}}
    for name, settings in given:
        if name not in found:
            raise errors.BadInput(f"there is no hypervisor {name!r}: write kvm:acpi=no")
        found[name] |= params.hypervisor(settings)
    return found


def _tools(said: str | None) -> list[str]:
    """Return the names of compression tools; raises BadInput for what could be more than a name."""
    if said is None:
        return list(defaults.COMPRESSION_TOOLS)
    found = [word for word in said.split(",") if word]
    wrong = [word for word in found if not _TOOL.fullmatch(word)]
    if wrong:
        raise errors.BadInput(f"these are no names of tools: {', '.join(wrong)}")
    return found
