"""What nodes say is held against what should be, each thing by its code."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pyganeti
from lab import clusters
from pyganeti.base import errors
from pyganeti.masterd.ops.verifying import (
    certificates,
    files,
    findings,
    images,
    instances,
    nodes,
    questions,
    systems,
    volumes,
)
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc

GOLDEN = Path(__file__).parents[4] / "golden/rpc/node_verify.json"
NOW = 1_700_000_000.0
replace = msgspec.structs.replace


class Told(findings.Findings):
    """Keeps what it is told."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append, for_programs=True, **options)

    @property
    def codes(self) -> list[str]:
        return [line.removeprefix("  - ").split(":")[1] for line in self.lines]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def snapshot() -> Snapshot:
    small = clusters.small()
    return replace(small, cluster=replace(small.cluster, modify_ssh_setup=False))


def group_of(snapshot: Snapshot) -> NodeGroup:
    return snapshot.groups[clusters.GROUP]


def node(snapshot: Snapshot, number: int = 0) -> Node:
    return snapshot.nodes[clusters.node_uuid(number)]


def answer(**changes: Any) -> dict[str, Any]:
    """Return what a node says that has nothing wrong."""
    good: dict[str, Any] = {
        "version": [noderpc.PROTOCOL, pyganeti.__version__],
        "hypervisor": {"kvm": None},
        "hvparms": [],
        "nodesetup": [],
        "time": [int(NOW), 0],
        "node-net-test": {},
        "master-ip": True,
        "user-scripts": [],
        "allowed-file-storage-paths": [],
        "instancelist": [],
        "hvinfo": {"memory_free": 1024},
        "oslist": [],
        "bridges": [],
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not ...}


def judged(told: Told, snapshot: Snapshot, said: Any) -> images.Image:
    image = images.Image(node(snapshot))
    question = questions.ask(snapshot, group_of(snapshot))
    nodes.judge(told, nodes.Asked(snapshot, question, NOW, NOW + 1), image, said)
    return image


def test_the_files_are_those_that_a_real_master_asks_for(snapshot: Snapshot) -> None:
    [question, *_] = json.loads(GOLDEN.read_text())[0]
    recorded = set(question["filelist"])

    quiet = replace(snapshot.cluster, modify_etc_hosts=False)

    assert set(files.wanted(replace(snapshot, cluster=quiet)).all) == recorded


def test_all_is_asked_that_a_real_master_asks(snapshot: Snapshot) -> None:
    [recorded, *_] = json.loads(GOLDEN.read_text())[0]
    cluster = replace(snapshot.cluster, modify_ssh_setup=True)

    asked = questions.ask(replace(snapshot, cluster=cluster), group_of(snapshot))

    assert set(recorded) <= set(asked)
    for key, value in recorded.items():
        assert type(asked[key]) is type(value), key
    assert [len(asked[key]) for key in ("nodelist", "node-net-test", "master-ip")] == [3, 2, 3]


def test_nothing_is_wrong_with_a_good_answer(told: Told, snapshot: Snapshot) -> None:
    image = judged(told, snapshot, answer())

    assert told.lines == []
    assert image.memory_free == 1024


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": [1, "x"]}, "ENODEVERSION"),
        ({"version": "no"}, "ENODERPC"),
        ({"nodesetup": ["no /sys"]}, "ENODESETUP"),
        ({"nodesetup": ...}, "ENODESETUP"),
        ({"time": [int(NOW) - 200, 0]}, "ENODETIME"),
        ({"time": [int(NOW) + 200, 0]}, "ENODETIME"),
        ({"time": None}, "ENODETIME"),
        ({"node-net-test": {"node2": "failure"}}, "ENODENET"),
        ({"node-net-test": ...}, "ENODENET"),
        ({"master-ip": False}, "ENODENET"),
        ({"master-ip": ...}, "ENODENET"),
        ({"user-scripts": ["/etc/x"]}, "ENODEUSERSCRIPTS"),
        ({"user-scripts": ...}, "ENODEUSERSCRIPTS"),
        ({"oob-paths": ["not there"]}, "ENODEOOBPATH"),
        ({"allowed-file-storage-paths": ["/etc"]}, "ENODEFILESTORAGEPATHS"),
        ({"allowed-file-storage-paths": ...}, "ENODEFILESTORAGEPATHS"),
        ({"file-storage-path": "not there"}, "ENODEFILESTORAGEPATHUNUSABLE"),
        ({"hypervisor": {"kvm": "no qemu"}}, "ENODEHV"),
        ({"hvparms": [["cluster", "kvm", "bad"]]}, "ENODEHV"),
        ({"instancelist": "no"}, "ENODEHV"),
        ({"hvinfo": {}}, "ENODEHV"),
        ({"hvinfo": {"memory_free": "much"}}, "ENODERPC"),
        ({"oslist": [["x"]]}, "ENODEOS"),
        ({"bridges": ["br0"]}, "ENODENET"),
        ({"bridges": ...}, "ENODENET"),
    ],
)
def test_a_finding_has_its_code(
    told: Told, snapshot: Snapshot, change: dict[str, Any], code: str
) -> None:
    judged(told, snapshot, answer(**change))

    assert told.codes == [code]
    assert told.is_bad


@pytest.mark.parametrize("nonsense", [None, [], "x", {}, 3])
def test_nonsense_is_a_node_that_says_nothing(
    told: Told, snapshot: Snapshot, nonsense: Any
) -> None:
    image = judged(told, snapshot, nonsense)

    assert told.codes == ["ENODERPC"]
    assert image.is_silent


def test_another_release_is_a_warning(told: Told, snapshot: Snapshot) -> None:
    judged(told, snapshot, answer(version=[noderpc.PROTOCOL, "0.0.1"]))

    assert told.codes == ["ENODEVERSION"]
    assert not told.is_bad


def test_a_node_without_instances_is_not_held_to_what_they_need(
    told: Told, snapshot: Snapshot
) -> None:
    image = images.Image(replace(node(snapshot), vm_capable=False))
    asked = nodes.Asked(snapshot, questions.ask(snapshot, group_of(snapshot)), NOW, NOW)

    nodes.judge(told, asked, image, answer(hvinfo=..., instancelist=..., oslist=..., bridges=...))

    assert told.lines == []


def test_an_ignored_code_is_a_warning() -> None:
    told = Told(ignored=["ENODETIME"])
    told.add(findings.Code.NODE_TIME, "node1", "late")

    assert told.lines == ["  - WARNING:ENODETIME:node:node1:late"]
    assert not told.is_bad


def test_words_that_are_none_are_refused() -> None:
    with pytest.raises(errors.BadInput, match="ENOSUCH"):
        findings.check_codes(["ENODETIME", "ENOSUCH"])
    with pytest.raises(errors.BadInput, match="nosuch"):
        findings.check_skipped(["nplusone_mem", "nosuch"])


# Files


def _digests(snapshot: Snapshot, **changes: Any) -> dict[str, dict[str, str] | None]:
    wanted = files.wanted(snapshot)
    same = dict.fromkeys(wanted.all, "a" * 40)
    return {uuid: {**same, **changes.get(one.name.partition(".")[0], {})}
            for uuid, one in snapshot.nodes.items()}  # fmt: skip


def _judge_files(told: Told, snapshot: Snapshot, digests: Any) -> None:
    master = snapshot.cluster.master_node
    files.judge(told, files.wanted(snapshot), snapshot.nodes.values(), master, digests)


def _all_candidates(snapshot: Snapshot) -> Snapshot:
    return replace(
        snapshot,
        nodes=type(snapshot.nodes)(
            {uuid: replace(one, master_candidate=True) for uuid, one in snapshot.nodes.items()}
        ),
    )


def test_files_that_are_alike_are_good(told: Told, snapshot: Snapshot) -> None:
    everybody = _all_candidates(snapshot)

    _judge_files(told, everybody, _digests(everybody))

    assert told.lines == []


def test_a_file_that_differs_or_is_missing_is_told(told: Told, snapshot: Snapshot) -> None:
    everybody = _all_candidates(snapshot)
    digests = _digests(everybody, node2={"/var/lib/ganeti/hmac.key": "b" * 40})
    del digests[clusters.node_uuid(2)]["/var/lib/ganeti/server.pem"]  # type: ignore[union-attr]

    _judge_files(told, everybody, digests)

    assert told.codes == ["ECLUSTERFILECHECK"] * 2
    assert "hmac.key found with 2 different checksums (variant 1 on node1" in told.lines[0]
    assert "server.pem is missing from node(s) node3" in told.lines[1]


def test_the_configuration_is_for_candidates_alone(told: Told, snapshot: Snapshot) -> None:
    everybody = _all_candidates(snapshot)
    demoted = replace(node(everybody, 1), master_candidate=False)
    less = replace(everybody, nodes=everybody.nodes.changed({demoted.uuid: demoted}))

    _judge_files(told, less, _digests(less))

    assert told.codes == ["ECLUSTERFILECHECK"]
    assert "config.data should not exist on node(s) node2" in told.lines[0]


def test_an_optional_file_is_on_all_nodes_or_none(told: Told, snapshot: Snapshot) -> None:
    everybody = _all_candidates(snapshot)
    digests = _digests(everybody)
    name = "/var/lib/ganeti/rapi/users"
    for uuid in digests:
        del digests[uuid][name]  # type: ignore[union-attr]
    _judge_files(told, everybody, digests)
    assert told.lines == []

    digests[clusters.node_uuid(0)][name] = "c" * 40  # type: ignore[index]
    _judge_files(told, everybody, digests)
    assert len(told.lines) == 1
    assert "optional" in told.lines[0]


def test_a_node_without_checksums_is_told_once(told: Told, snapshot: Snapshot) -> None:
    everybody = _all_candidates(snapshot)
    digests = _digests(everybody)
    digests[clusters.node_uuid(1)] = None

    _judge_files(told, everybody, digests)

    assert told.codes == ["ENODEFILECHECK"]


# Certificates


def test_certificates_that_the_map_lets_in_are_good(told: Told, snapshot: Snapshot) -> None:
    one = node(snapshot)

    certificates.judge(told, {one.uuid: "AA"}, [one], {one.uuid: [None, "AA"]})

    assert told.lines == []


@pytest.mark.parametrize(
    ("allowed", "is_candidate", "said", "words"),
    [
        ({}, True, [None, "AA"], "is empty"),
        ({"": "BB"}, True, [None, "BB"], "does not match its entry"),
        ({"x": "AA"}, True, [None, "AA"], "certificate of another node"),
        ({"x": "BB"}, True, [None, "AA"], "does not have an entry"),
        ({"": "AA"}, False, [None, "AA"], "still listed"),
        ({"x": "AA"}, False, [None, "AA"], "incorrectly using"),
        ({"": "AA", "x": "AA"}, True, [None, "AA"], "at least two"),
        ({"": "AA"}, True, ["ERROR", "expired"], "failed validation: expired (code 'ERROR')"),
        ({"": "AA"}, True, None, "says nothing"),
    ],
)
def test_a_certificate_that_is_not_in_the_map_is_told(
    told: Told,
    snapshot: Snapshot,
    allowed: dict[str, str],
    is_candidate: bool,  # noqa: FBT001 - a parameter
    said: Any,
    words: str,
) -> None:
    one = replace(node(snapshot), master_candidate=is_candidate)
    expected = {name or one.uuid: "CC" if digest == "BB" and not name else digest
                for name, digest in allowed.items()}  # fmt: skip

    certificates.judge(told, expected, [one], {one.uuid: said})

    assert set(told.codes) == {"ECLUSTERCLIENTCERT"}
    assert any(words in line for line in told.lines), told.lines


# Operating systems


def _os(name: str, **changes: Any) -> images.System:
    entry = {"path": "/srv/os", "is_good": True, "why": "", "variants": ["a"],
             "parameters": [["x", "an x"]], "versions": [20], "trusted": True}  # fmt: skip
    entry |= changes
    return (name, *entry.values())  # type: ignore[return-value]


def _systems(snapshot: Snapshot, *each: list[images.System]) -> list[images.Image]:
    found = []
    for number, own in enumerate(each):
        image = images.Image(node(snapshot, number))
        image.systems = {}
        for system in own:
            image.systems.setdefault(system[0], []).append(system)
        found.append(image)
    return found


def test_same_definitions_are_good(told: Told, snapshot: Snapshot) -> None:
    systems.judge(told, _systems(snapshot, [_os("a"), _os("b")], [_os("b"), _os("a")]))

    assert told.lines == []


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([_os("a")], [], "missing on this node: a"),
        ([], [_os("a")], "Extra OS a"),
        ([_os("a")], [_os("a", is_good=False, why="no create")], "Invalid OS a"),
        ([_os("a")], [_os("a"), _os("a", path="/other")], "multiple entries"),
        ([_os("a")], [_os("a", versions=[15])], "OS API version for a differs"),
        ([_os("a")], [_os("a", variants=["b"])], "OS variants list for a differs"),
        ([_os("a")], [_os("a", parameters=[])], "OS parameters for a differs"),
        ([_os("a")], [_os("a", trusted=False)], "OS trusted for a differs"),
    ],
)
def test_definitions_that_differ_are_told(
    told: Told,
    snapshot: Snapshot,
    first: list[images.System],
    second: list[images.System],
    words: str,
) -> None:
    systems.judge(told, _systems(snapshot, first, second))

    assert told.codes == ["ENODEOS"]
    assert words in told.lines[0]


# Instances


def _on(snapshot: Snapshot, **changes: Any) -> tuple[Snapshot, dict[str, images.Image]]:
    """Return the cluster with its first instance changed, and its nodes' images."""
    one = replace(snapshot.instances[clusters.instance_uuid(0)], **changes)
    changed = replace(snapshot, instances=snapshot.instances.changed({one.uuid: one}))
    image = images.Image(changed.nodes[one.primary_node], instances=frozenset())
    [disk] = changed.disks_of(one)
    image.disks = {disk.uuid or "": (True, {"is_degraded": False, "ldisk_status": 1})}
    return changed, {one.primary_node: image}


def _judge(told: Told, snapshot: Snapshot, seen: dict[str, images.Image]) -> None:
    one = snapshot.instances[clusters.instance_uuid(0)]
    instances.judge(told, snapshot, group_of(snapshot), one, seen)


def test_an_instance_that_is_down_and_should_be_is_good(told: Told, snapshot: Snapshot) -> None:
    _judge(told, *_on(snapshot, admin_state="down"))

    assert [code for code in told.codes if code != "EINSTANCEPOLICY"] == []


def test_an_instance_that_should_run_and_does_not_is_told(told: Told, snapshot: Snapshot) -> None:
    _judge(told, *_on(snapshot, admin_state="up"))

    assert "EINSTANCEDOWN" in told.codes


def test_nobody_says_that_an_instance_is_down_whose_node_is_silent(
    told: Told, snapshot: Snapshot
) -> None:
    changed, seen = _on(snapshot, admin_state="up")
    for image in seen.values():
        image.is_silent, image.instances = True, None

    _judge(told, changed, seen)

    assert "EINSTANCEDOWN" not in told.codes
    assert "ENODERPC" in told.codes


def test_an_instance_on_an_offline_node_is_told(told: Told, snapshot: Snapshot) -> None:
    changed, _ = _on(snapshot, admin_state="up")
    one = changed.instances[clusters.instance_uuid(0)]
    off = replace(changed.nodes[one.primary_node], offline=True)
    changed = replace(changed, nodes=changed.nodes.changed({off.uuid: off}))

    _judge(told, changed, {off.uuid: images.Image(off)})

    assert "EINSTANCEBADNODE" in told.codes
    assert "EINSTANCEDOWN" not in told.codes


@pytest.mark.parametrize(("active", "code"), [(True, "EINSTANCEFAULTYDISK"),
                                              (False, "EINSTANCEMISSINGDISK")])  # fmt: skip
def test_a_missing_file_is_told(
    told: Told,
    snapshot: Snapshot,
    active: bool,  # noqa: FBT001 - a parameter
    code: str,
) -> None:
    changed, seen = _on(snapshot, admin_state="down", disks_active=active)
    for image in seen.values():
        image.disks = dict.fromkeys(image.disks, (False, "no such file"))

    _judge(told, changed, seen)

    assert code in told.codes


@pytest.mark.parametrize(("local", "is_bad"), [(1, False), (4, True)])
def test_a_degraded_disk_is_told(
    told: Told,
    snapshot: Snapshot,
    local: int,
    is_bad: bool,  # noqa: FBT001 - a parameter
) -> None:
    changed, seen = _on(snapshot, admin_state="down", disks_active=True)
    for image in seen.values():
        status = {"is_degraded": True, "ldisk_status": local}
        image.disks = dict.fromkeys(image.disks, (True, status))

    _judge(told, changed, seen)

    assert "EINSTANCEFAULTYDISK" in told.codes
    assert told.is_bad == is_bad


def test_strangers_are_told(told: Told, snapshot: Snapshot) -> None:
    image = images.Image(node(snapshot))
    others = [one.name for one in snapshot.instances_on(node(snapshot, 1))]
    image.instances = frozenset({"stranger", others[0]})

    nodes.judge_strangers(told, snapshot, image)

    assert sorted(told.codes) == ["EINSTANCEWRONGNODE", "ENODEORPHANINSTANCE"]


# Volumes


def test_a_volume_group_is_looked_at(told: Told, snapshot: Snapshot) -> None:
    image = images.Image(node(snapshot))

    said = {"vglist": {"xenvg": 99999.0}, "lvlist": {"xenvg/a": [1, False, True]}, "pvlist": []}
    volumes.judge(told, "xenvg", image, said)
    assert told.lines == []
    assert image.volumes == {"xenvg/a": [1, False, True]}

    volumes.judge(told, "xenvg", image, {**said, "vglist": {"other": 1.0}})
    volumes.judge(told, "xenvg", image, {**said, "vglist": {"xenvg": 1.0}})
    volumes.judge(told, "xenvg", image, {**said, "lvlist": "no lvs"})
    volumes.judge(told, "xenvg", image, {**said, "pvlist": None})
    volumes.judge(told, "xenvg", image, {**said, "pvlist": [{"name": "a:b", "vg_name": "xenvg"}]})
    assert told.codes == ["ENODELVM"] * 5


def test_a_volume_that_is_nobodys_is_told_unless_reserved(told: Told, snapshot: Snapshot) -> None:
    image = images.Image(node(snapshot))
    image.volumes = {"xenvg/a": [], "xenvg/b": [], "other/c": []}
    cluster = replace(snapshot.cluster, volume_group_name="xenvg", reserved_lvs=("xenvg/b.*",))

    volumes.judge_orphans(told, replace(snapshot, cluster=cluster), [image])

    assert told.lines == [
        f"  - WARNING:ENODEORPHANLV:node:{image.node.name}:volume xenvg/a is unknown"
    ]


def test_memory_for_a_failing_node_is_counted(told: Told) -> None:
    snapshot = clusters.furnished()
    mirrors = [one for one in snapshot.nodes.values() if snapshot.secondaries_on(one)]
    assert mirrors

    for one in mirrors:
        nodes.judge_memory(told, snapshot, images.Image(one, memory_free=1))
        nodes.judge_memory(told, snapshot, images.Image(one, memory_free=100000))

    assert set(told.codes) == {"ENODEN1"}
    assert len(told.lines) == len(mirrors)
