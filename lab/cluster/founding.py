"""What makes machines a cluster: certificates, and what every node is told about the cluster.

It lies on the nodes as ``gnt-cluster init`` and ``gnt-node add`` leave it: the cluster's
``server.pem`` everywhere, on each node a ``client.pem`` of its own signed by that, and the ssconf
files, among them the map of the certificates of the master's candidates. A bare machine has none of
this, for those who want to found a cluster in another way.
"""

import datetime as dt
import functools
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lab import nodedaemons
from lab.cluster import machines, network
from pyganeti.base import certificates, paths

NAME: Final = f"cluster.{machines.DOMAIN}"
MASTER_ADDRESS: Final = network.address_of(100)

OS: Final = "sector"
"""The OS definition that every node has: it puts a boot sector on the first disk."""

_SCRIPTS: Final = {
    "create": 'printf "$OSP_SECTOR" | dd of="$DISK_0_PATH" conv=notrunc status=none',
    "export": "exit 1",
    "import": "exit 1",
    "rename": "true",
    "verify": "true",
}
_SECRET: Final = 0o600
_IPV4: Final = "2"


def found(nodes: Sequence[machines.Machine], shared: Path) -> None:
    """Make these machines a cluster; the first is its master, all are candidates.

    ``shared`` is the directory that all nodes see, for disks that are shared files.
    """
    server = nodedaemons.cluster(NAME).server
    own = {node.name: client_of(node.name) for node in nodes}
    for node in nodes:
        layout = _seen(node)
        for directory in (layout.state_dir, layout.config_dir, layout.log_dir):
            directory.mkdir(parents=True, exist_ok=True)
        write(layout.server_certificate, server.pem)
        write(layout.client_certificate, own[node.name].pem)
        storage = file_storage_of(node)
        (layout.config_dir / "file-storage-paths").write_text(f"{storage}\n{shared}\n")
        node.seen(storage).mkdir(parents=True, exist_ok=True)
        _define_os(layout.root / "srv/ganeti/os" / OS)
        for name, lines in ssconf(nodes, own, shared).items():
            layout.ssconf(name).write_text("".join(f"{line}\n" for line in lines))


def _define_os(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "ganeti_api_version").write_text("20\n")
    (folder / "parameters.list").write_text(
        "sector what the first disk begins with, each byte as \\ooo\n"
    )
    (folder / "variants.list").write_text("")
    for name, body in _SCRIPTS.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\nset -e\n{body}\n")
        script.chmod(0o755)


def ssconf(
    nodes: Sequence[machines.Machine],
    own: Mapping[str, certificates.Certificate],
    shared: Path,
) -> dict[str, list[str]]:
    """Return what the nodes are told about the cluster, as ``write_ssconf_files`` has it."""
    names = [node.name for node in nodes]
    addresses = [node.address for node in nodes]
    pairs = [f"{node.name} {node.address}" for node in nodes]
    return {
        "cluster_name": [NAME],
        "cluster_tags": [],
        "enabled_user_shutdown": ["True"],
        "file_storage_dir": ["/srv/ganeti/file-storage"],
        "hypervisor_list": ["kvm"],
        "instance_list": [],
        "maintain_node_health": ["False"],
        "master_candidates": names,
        "master_candidates_certs": [f"{uuid_of(name)}={own[name].digest}" for name in names],
        "master_candidates_ips": addresses,
        "master_ip": [MASTER_ADDRESS],
        "master_netdev": [network.BRIDGE],
        "master_netmask": ["32"],
        "master_node": names[:1],
        "networks": [],
        "node_list": names,
        "node_primary_ips": pairs,
        "node_secondary_ips": pairs,
        "node_vm_capable": [f"{name}=True" for name in names],
        "nodegroups": [f"{uuid_of('default')} default"],
        "offline_nodes": [],
        "online_nodes": names,
        "primary_ip_family": [_IPV4],
        "release_version": ["3.0.2"],
        "shared_file_storage_dir": [str(shared)],
        "uid_pool": [],
    }


def file_storage_of(node: machines.Machine) -> Path:
    """Return where disks that are files of one node alone are."""
    return node.root / "srv/ganeti/file-storage"


def os_parameters(sector: bytes) -> dict[str, str]:
    """Return the parameters of `OS` for a boot sector: its bytes as printf(1) takes them."""
    return {"sector": "".join(f"\\{byte:03o}" for byte in sector)}


def uuid_of(name: str) -> str:
    """Return the uuid that a thing has in the cluster's configuration, by its name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{NAME}"))


@functools.cache
def client_of(name: str) -> certificates.Certificate:
    """Return a node's own certificate, signed by the cluster's; made once a process."""
    signer = nodedaemons.cluster(NAME).server.pem
    return certificates.make_client(signer, name, dt.datetime.now(dt.UTC))


def write(path: Path, pem: bytes) -> None:
    """Put a key into a file that only its owner can read."""
    path.touch(mode=_SECRET)
    path.write_bytes(pem)


def hosts(nodes: Sequence[machines.Machine]) -> str:
    """Return the nodes' /etc/hosts."""
    lines = ["127.0.0.1 localhost", f"{MASTER_ADDRESS} {NAME} {NAME.partition('.')[0]}"]
    lines += [f"{node.address} {node.name} {node.port}" for node in nodes]
    return "".join(f"{line}\n" for line in lines)


def _seen(node: machines.Machine) -> paths.Paths:
    return paths.Paths(node.seen(node.root), node.name)
