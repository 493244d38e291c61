"""What is wrong with a node, by what it said: its versions, clock, network, storage, hypervisor.

A node that talks nonsense is told of as one that said nothing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyganeti
from pyganeti.masterd.ops.verifying import images, volumes
from pyganeti.masterd.ops.verifying.findings import Code, Findings, Level
from pyganeti.model.config import filling, keys, names
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc, storefile

_SKEW: Final = 150.0
"""Seconds that a node's clock may differ from ours."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of all nodes, and when: seconds since 1970."""

    snapshot: Snapshot
    question: Mapping[str, Any]
    began: float
    ended: float
    store: storefile.Etcd | None = None
    """What the cluster is kept in, if not in files."""


def judge(found: Findings, asked: Asked, image: images.Image, said: Any) -> None:  # noqa: ANN401 - JSON
    """Tell what is wrong with a node, and put what others want to know into its image."""
    node = image.node
    if not isinstance(said, dict) or not said:
        found.add(Code.NODE_RPC, node.name, "unable to verify node: no data returned")
        image.is_silent = True
        return
    if not _version(found, node, said):
        image.is_silent = True
        return
    _setup(found, node, said)
    _time(found, node, said, asked)
    _network(found, asked, node, said)
    _store(found, asked, node, said)
    _user_scripts(found, node, said)
    _out_of_band(found, node, said)
    _storage_paths(found, asked, node, said)
    if not node.vm_capable:
        return
    _hypervisor(found, node, said)
    volumes.judge(found, asked.snapshot.cluster.volume_group_name, image, said)
    _instances(found, image, said)
    _memory(found, image, said)
    _systems(found, image, said)
    _bridges(found, asked, node, said)


def _version(found: Findings, node: Node, said: Mapping[str, Any]) -> bool:
    theirs = images.shaped(said, "version", tuple[int, str], (0, ""))
    if theirs is None:
        found.add(Code.NODE_RPC, node.name, "connection to node returned invalid data")
        return False
    protocol, release = theirs
    if found.when(
        protocol != noderpc.PROTOCOL,
        Code.NODE_VERSION,
        node.name,
        f"incompatible protocol versions: master {noderpc.PROTOCOL}, node {protocol}",
    ):
        return False
    found.when(
        release != pyganeti.__version__,
        Code.NODE_VERSION,
        node.name,
        f"software version mismatch: master {pyganeti.__version__}, node {release}",
        Level.WARNING,
    )
    return True


def _setup(found: Findings, node: Node, said: Mapping[str, Any]) -> None:
    problems = images.shaped(said, "nodesetup", list[str], [""])
    if problems is None:
        problems = ["Missing NODESETUP results"]
    found.when(problems, Code.NODE_SETUP, node.name, f"node setup error: {'; '.join(problems)}")


def _time(found: Findings, node: Node, said: Mapping[str, Any], asked: Asked) -> None:
    theirs = images.shaped(said, "time", tuple[int, int], (0, 0))
    if theirs is None:
        found.add(Code.NODE_TIME, node.name, "Node returned invalid time")
        return
    now = theirs[0] + theirs[1] / 1e6
    away = max(asked.began - now, now - asked.ended)
    found.when(
        away > _SKEW,
        Code.NODE_TIME,
        node.name,
        f"Node time diverges by at least {away:.1f}s from master node time",
    )


def _network(found: Findings, asked: Asked, node: Node, said: Mapping[str, Any]) -> None:
    if "nodelist" in asked.question:
        by_ssh = images.shaped(said, "nodelist", dict[str, str], {"": ""})
        if by_ssh is None:
            text = "node hasn't returned node ssh connectivity data"
            found.add(Code.NODE_SSH, node.name, text)
        for other, why in sorted((by_ssh or {}).items()):
            text = f"ssh communication with node '{other}': {why}"
            found.add(Code.NODE_SSH, node.name, text)
    for key in ("ssh-setup", "ssh-clutter"):
        if key in asked.question and (problems := said.get(key)):
            text = " ".join(map(str, problems)) if isinstance(problems, list) else str(problems)
            found.add(Code.NODE_SSH, node.name, text)
    by_tcp = images.shaped(said, "node-net-test", dict[str, str], {"": ""})
    if by_tcp is None:
        text = "node hasn't returned node tcp connectivity data"
        found.add(Code.NODE_NETWORK, node.name, text)
    for other in sorted(by_tcp or {}, key=names.sort_key):
        text = f"tcp communication with node '{other}': {(by_tcp or {})[other]}"
        found.add(Code.NODE_NETWORK, node.name, text)
    if "master-ip" not in said:
        text = "node hasn't returned node master IP reachability data"
        found.add(Code.NODE_NETWORK, node.name, text)
        return
    is_master = node.uuid == asked.snapshot.cluster.master_node
    found.when(
        said["master-ip"] is False,  # None: it was not this node's to try
        Code.NODE_NETWORK,
        node.name,
        "the master node cannot reach the master IP (not configured?)"
        if is_master
        else "cannot reach the master IP",
    )


def _store(found: Findings, asked: Asked, node: Node, said: Mapping[str, Any]) -> None:
    """Judge whether a candidate reaches the etcd that the cluster is kept in."""
    if asked.store is None or not node.master_candidate:
        return
    match said.get("store"):
        case {"prefix": str(prefix), "unreached": [*unreached]}:
            pass
        case _:
            text = "node hasn't returned whether it reaches what the cluster is kept in"
            found.add(Code.NODE_NETWORK, node.name, text)
            return
    found.when(
        prefix != asked.store.prefix,
        Code.NODE_FILES,
        node.name,
        f"{storefile.PATH} says {prefix or 'nothing'} and not {asked.store.prefix}: it cannot take"
        " over",
    )
    if len(unreached) == len(asked.store.endpoints):
        text = "none of etcd's members is reached: it cannot take over"
        found.add(Code.NODE_NETWORK, node.name, text)
    elif unreached:
        text = f"not all of etcd's members are reached: {', '.join(map(str, unreached))}"
        found.add(Code.NODE_NETWORK, node.name, text, Level.WARNING)


def _user_scripts(found: Findings, node: Node, said: Mapping[str, Any]) -> None:
    broken = images.shaped(said, "user-scripts", list[str], [""])
    if broken is None:
        text = "did not return user scripts information"
        found.add(Code.NODE_USER_SCRIPTS, node.name, text)
        return
    found.when(
        broken,
        Code.NODE_USER_SCRIPTS,
        node.name,
        f"user scripts not present or not executable: {', '.join(sorted(broken))}",
    )


def _out_of_band(found: Findings, node: Node, said: Mapping[str, Any]) -> None:
    if not (node.master_candidate or node.master_capable):
        return  # these programs are run on the master
    for problem in images.shaped(said, "oob-paths", list[str | None], [None]) or ():
        found.when(problem, Code.NODE_OOB_PATH, node.name, str(problem))


def _storage_paths(found: Findings, asked: Asked, node: Node, said: Mapping[str, Any]) -> None:
    key = "allowed-file-storage-paths"
    if asked.question.get(key) == node.name:
        forbidden = images.shaped(said, key, list[str], [""])
        if forbidden is None:
            text = "Node did not return forbidden file storage paths"
            found.add(Code.NODE_FILE_PATHS, node.name, text)
        found.when(
            forbidden,
            Code.NODE_FILE_PATHS,
            node.name,
            f"Found forbidden file storage paths: {', '.join(forbidden or ())}",
        )
    else:
        found.when(
            key in said,
            Code.NODE_FILE_PATHS,
            node.name,
            "Node should not have returned forbidden file storage paths",
        )
    for key, template, code in _PATHS:
        if key in asked.question:
            found.when(
                key in said,
                code,
                node.name,
                f"The configured {template} storage path is unusable: {said.get(key)}",
            )


_PATHS: Final = (
    ("file-storage-path", "file", Code.NODE_FILE_PATH),
    ("shared-file-storage-path", "sharedfile", Code.NODE_SHARED_FILE_PATH),
    ("gluster-storage-path", "gluster", Code.NODE_GLUSTER_PATH),
)


def _hypervisor(found: Findings, node: Node, said: Mapping[str, Any]) -> None:
    for name, problem in sorted(
        (images.shaped(said, "hypervisor", dict[str, str | None], {"": None}) or {}).items()
    ):
        found.when(
            problem is not None,
            Code.NODE_HYPERVISOR,
            node.name,
            f"hypervisor {name} verify failure: '{problem}'",
        )
    wrong: Sequence[tuple[str, str, str]] = (
        images.shaped(said, "hvparms", list[tuple[str, str, str]], [("", "", "")]) or ()
    )
    for source, name, problem in wrong:
        found.add(
            Code.NODE_HYPERVISOR,
            node.name,
            f"hypervisor {name} parameter verify failure (source {source}): {problem}",
        )


def _instances(found: Findings, image: images.Image, said: Mapping[str, Any]) -> None:
    running = images.shaped(said, "instancelist", list[str], [""])
    if running is None:
        found.add(
            Code.NODE_HYPERVISOR,
            image.node.name,
            f"rpc call to node failed (instancelist): {said.get('instancelist')}",
        )
        return
    image.instances = frozenset(running)


def _memory(found: Findings, image: images.Image, said: Mapping[str, Any]) -> None:
    facts = images.shaped(said, "hvinfo", dict[str, Any], {"": 0})
    if facts is None or "memory_free" not in facts:
        found.add(Code.NODE_HYPERVISOR, image.node.name, "rpc call to node failed (hvinfo)")
        return
    try:
        image.memory_free = int(facts["memory_free"])
    except (TypeError, ValueError):
        text = "node returned invalid nodeinfo, check hypervisor"
        found.add(Code.NODE_RPC, image.node.name, text)


def _systems(found: Findings, image: images.Image, said: Mapping[str, Any]) -> None:
    nothing: list[images.System] = []
    systems = images.shaped(said, "oslist", list[images.System], nothing)
    if systems is None:
        found.add(Code.NODE_OS, image.node.name, "node hasn't returned valid OS data")
        return
    by_name: dict[str, list[images.System]] = {}
    for system in systems:
        by_name.setdefault(system[0], []).append(system)
    image.systems = by_name


def _bridges(found: Findings, asked: Asked, node: Node, said: Mapping[str, Any]) -> None:
    if "bridges" not in asked.question:
        return
    missing = images.shaped(said, "bridges", list[str], [""])
    if missing is None:
        text = "did not return valid bridge information"
        found.add(Code.NODE_NETWORK, node.name, text)
        return
    found.when(
        missing,
        Code.NODE_NETWORK,
        node.name,
        f"missing bridges: {', '.join(sorted(missing))}",
    )


def judge_strangers(found: Findings, snapshot: Snapshot, image: images.Image) -> None:
    """Tell which instances run on a node and should not."""
    own = {instance.name for instance in snapshot.instances_on(image.node)}
    everyones = snapshot.instances.index(keys.names)
    for name in sorted((image.instances or frozenset()) - own, key=names.sort_key):
        if name in everyones:
            text = f"instance should not run on node {image.node.name}"
            found.add(Code.INSTANCE_WRONG_NODE, name, text)
        else:
            text = f"node is running unknown instance {name}"
            found.add(Code.NODE_ORPHAN_INSTANCE, image.node.name, text)


def judge_tags(found: Findings, snapshot: Snapshot, node: Node) -> None:
    """Tell which tags that only one instance of a node may have are there more than once."""
    prefixes = tuple(
        tag.removeprefix(_EXCLUSION) + ":"
        for tag in snapshot.cluster.tags
        if tag.startswith(_EXCLUSION)
    )
    seen: set[str] = set()
    twice: set[str] = set()
    for instance in snapshot.instances_on(node) if prefixes else ():
        own = {tag for tag in instance.tags if tag.startswith(prefixes)}
        twice |= own & seen
        seen |= own
    found.when(
        twice,
        Code.TAGS,
        node.name,
        f"Tags where there is more than one instance: {', '.join(sorted(twice))}",
        Level.WARNING,
    )


_EXCLUSION: Final = "htools:iextags:"


def judge_memory(found: Findings, snapshot: Snapshot, image: images.Image) -> None:
    """Tell whether a node has not got the memory for the instances of one that fails.

    Counted are those that have a mirror here.
    """
    needed: dict[str, int] = {}
    for instance in snapshot.secondaries_on(image.node):
        params = filling.backend(snapshot.cluster, instance.beparams)
        if params["auto_balance"]:
            needed[instance.primary_node] = needed.get(instance.primary_node, 0) + params["minmem"]
    for uuid, memory in needed.items():
        failing = snapshot.nodes.get(uuid)
        found.when(
            memory > image.memory_free,
            Code.NODE_MEMORY,
            image.node.name,
            "not enough memory to accomodate instance failovers should node"
            f" {failing.name if failing else uuid} fail ({memory}MiB needed,"
            f" {image.memory_free}MiB available)",
        )
