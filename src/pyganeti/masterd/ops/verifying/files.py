"""Files that nodes must have, and have alike: which, and what is wrong with those they have.

Names are those that the whole cluster knows them by; each node looks where they lie on it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pyganeti.masterd.ops.verifying import findings
from pyganeti.model.config import names, ssconf
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

_STATE: Final = "/var/lib/ganeti"
CONFIGURATION: Final = f"{_STATE}/config.data"
CERTIFICATES: Final = ("server.pem", "rapi.pem", "spice.pem", "spice-ca.pem")
_SECRETS: Final = ("hmac.key", "cluster-domain-secret")
_KNOWN_HOSTS: Final = f"{_STATE}/known_hosts"
_RAPI_USERS: Final = f"{_STATE}/rapi/users"
_FILE_PATHS: Final = "/etc/ganeti/file-storage-paths"
_NETWORK_SCRIPT: Final = "/etc/ganeti/kvm-vif-bridge"
_HOSTS: Final = "/etc/hosts"
MASTER_SCRIPT: Final = "/etc/ganeti/scripts/master-ip-setup"
_IN_FILES: Final = frozenset({"file", "sharedfile"})

_CODE: Final = findings.Code.CLUSTER_FILES


@dataclass(frozen=True, slots=True)
class Files:
    """Which files who has to have; those in ``optional`` all of them have, or none."""

    everywhere: frozenset[str]
    on_candidates: frozenset[str]
    with_instances: frozenset[str]
    optional: frozenset[str]

    @property
    def all(self) -> list[str]:
        """Return them, each once."""
        return sorted(self.everywhere | self.on_candidates | self.with_instances)


def wanted(snapshot: Snapshot, *, is_settled: bool = True) -> Files:
    """Return which files a cluster's nodes have to have.

    Not ``is_settled``: the configuration changes so often that nodes cannot be compared by it.
    """
    cluster = snapshot.cluster
    everywhere = {f"{_STATE}/{name}" for name in (*CERTIFICATES, *_SECRETS)}
    everywhere |= {_KNOWN_HOSTS, _RAPI_USERS}
    if is_settled:
        everywhere |= {f"{_STATE}/ssconf_{name}" for name in ssconf.make(snapshot)}
    optional = {_RAPI_USERS, _NETWORK_SCRIPT}
    if not cluster.modify_ssh_setup:
        optional.add(_KNOWN_HOSTS)
    if cluster.modify_etc_hosts:
        everywhere.add(_HOSTS)
    if cluster.use_external_mip_script:
        everywhere.add(MASTER_SCRIPT)
    if _IN_FILES & set(cluster.enabled_disk_templates):
        everywhere.add(_FILE_PATHS)
        optional.add(_FILE_PATHS)
    return Files(
        everywhere=frozenset(everywhere),
        on_candidates=frozenset({CONFIGURATION} if is_settled else ()),
        with_instances=frozenset({_NETWORK_SCRIPT}),
        optional=frozenset(optional),
    )


def judge(
    found: findings.Findings,
    files: Files,
    nodes: Iterable[Node],
    master: str,
    digests: Mapping[str, Mapping[str, str] | None],
) -> None:
    """Tell what is wrong with the files of the nodes that are not offline.

    ``master`` is its uuid; ``digests`` has, by a node's uuid, those of the files it has, None if it
    said nothing.
    """
    asked = [node for node in nodes if not node.offline]
    said: dict[str, Mapping[str, str]] = {}
    for node in asked:
        files_there = digests.get(node.uuid)
        if not found.when(
            not files_there,
            findings.Code.NODE_FILES,
            node.name,
            "Node did not return file checksum data",
        ):
            said[node.uuid] = files_there or {}
    answered = [node for node in asked if node.uuid in said]
    for name in files.all:
        if name in files.on_candidates:
            owners = [node for node in answered if node.master_candidate or node.uuid == master]
        elif name in files.with_instances:
            owners = [node for node in answered if node.vm_capable]
        else:
            owners = answered
        holders = [node for node in answered if name in said[node.uuid]]
        _judge_presence(
            found, name, owners=owners, holders=holders, is_optional=name in files.optional
        )
        _judge_variants(found, name, {node.name: said[node.uuid][name] for node in holders})


def _judge_presence(
    found: findings.Findings,
    name: str,
    *,
    owners: list[Node],
    holders: list[Node],
    is_optional: bool,
) -> None:
    missing = [node for node in owners if node not in holders]
    if is_optional:
        found.when(
            missing and len(missing) < len(owners),
            _CODE,
            None,
            f"File {name} is optional, but it must exist on all or no nodes"
            f" (not found on {_names(missing)})",
        )
        return
    found.when(missing, _CODE, None, f"File {name} is missing from node(s) {_names(missing)}")
    unexpected = [node for node in holders if node not in owners]
    found.when(
        unexpected, _CODE, None, f"File {name} should not exist on node(s) {_names(unexpected)}"
    )


def _judge_variants(found: findings.Findings, name: str, digests: Mapping[str, str]) -> None:
    by_digest: dict[str, list[str]] = {}
    for node, digest in digests.items():
        by_digest.setdefault(digest, []).append(node)
    variants = [
        f"variant {place} on {', '.join(sorted(by_digest[digest], key=names.sort_key))}"
        for place, digest in enumerate(sorted(by_digest), 1)
    ]
    found.when(
        len(by_digest) > 1,
        _CODE,
        None,
        f"File {name} found with {len(by_digest)} different checksums ({'; '.join(variants)})",
    )


def _names(nodes: Iterable[Node]) -> str:
    return ", ".join(node.name for node in sorted(nodes, key=names.by_name))
