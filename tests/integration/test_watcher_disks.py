"""What passes have done about disks: asked of a real LUXI server over a configuration with DRBD."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import configurations, luxiservers
from pyganeti.base import errors
from pyganeti.clients import luxi
from pyganeti.masterd.jobs import work
from pyganeti.masterd.locks import levels
from pyganeti.watcher import disks, grouplook


class Carrier:
    """Carries out what looks at disks and assembles them; ``asked`` is of whom, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.reasons: list[Any] = []
        self.to_assemble: list[str] = []
        self.failing: set[str] = set()

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:
        """Take note."""
        await run.begin()
        name = opcode.get("instance_name") or opcode["group_name"]
        self.asked.append(f"{opcode['OP_ID']} {name}")
        self.reasons.append(opcode["reason"][0])
        if name in self.failing:
            raise errors.Unavailable("its disks are gone")
        if opcode["OP_ID"] == "OP_GROUP_VERIFY_DISKS":
            return [{}, self.to_assemble, {}]
        return []


class Cluster:
    """A served configuration, with what passes ask and do."""

    def __init__(self, running: luxiservers.Running, carrier: Carrier, client: luxi.Client) -> None:
        self.running = running
        self.carrier = carrier
        self.client = client
        snapshot = configurations.real("config-drbd.data")
        self.snapshot = snapshot
        [self.mirrored, *_] = [
            one for one in snapshot.instances.values() if len(snapshot.nodes_of(one)) > 1
        ]
        first, second, *_ = snapshot.nodes_of(self.mirrored)
        self.primary, self.secondary = sorted(
            (first, second), key=lambda node: node.uuid != self.mirrored.primary_node
        )

    async def look(self) -> grouplook.Group:
        return await asyncio.to_thread(grouplook.look, self.client, self.primary.group)

    async def jobs(self) -> list[Any]:
        return await asyncio.to_thread(self.client.query_jobs, None, ["id", "status"])


@pytest.fixture
async def cluster(short_dir: Path) -> AsyncIterator[Cluster]:
    carrier = Carrier()
    snapshot = configurations.real("config-drbd.data")
    async with luxiservers.started(short_dir, snapshot, carrier=carrier) as running:
        with running.client() as client:
            yield Cluster(running, carrier, client)


async def test_a_group_is_seen_with_its_nodes_instances_and_who_works_on_it(
    cluster: Cluster,
) -> None:
    found = await cluster.look()
    assert cluster.secondary.name in found.nodes
    assert found.nodes[cluster.secondary.name].boot_id is None  # nobody answers here
    seen = found.instances[cluster.mirrored.name]
    assert seen.secondaries == (cluster.secondary.name,)
    assert seen.template == "drbd"
    assert found.secondaries_on([cluster.secondary.name]) == [seen]
    assert found.secondaries_on([]) == []
    assert not found.busy


async def test_disks_are_assembled_anew_when_a_node_was_rebooted(cluster: Cluster) -> None:
    found = await cluster.look()
    name = cluster.mirrored.name
    await asyncio.to_thread(disks.after_reboots, cluster.client, found, [cluster.primary.name])
    assert f"OP_INSTANCE_ACTIVATE_DISKS {name}" not in cluster.carrier.asked
    await asyncio.to_thread(disks.after_reboots, cluster.client, found, [cluster.secondary.name])
    assert (f"OP_INSTANCE_ACTIVATE_DISKS {name}" in cluster.carrier.asked) is (
        found.instances[name].disks_active
    )


async def test_a_look_at_all_disks_has_those_assembled_that_only_have_to_be(
    cluster: Cluster,
) -> None:
    found = await cluster.look()
    helped = [one.name for one in found.instances.values() if not found.is_helpless(one)]
    cluster.carrier.to_assemble = [*found.instances, "somebody-elses"]

    await asyncio.to_thread(disks.verify, cluster.client, found, is_strict=True)

    assert cluster.carrier.asked == [
        f"OP_GROUP_VERIFY_DISKS {found.uuid}",
        *(f"OP_INSTANCE_ACTIVATE_DISKS {name}" for name in helped),
    ]
    assert {reason[0] for reason in cluster.carrier.reasons} == {"gnt:watcher"}
    assert len(await cluster.jobs()) == bool(helped), "the look itself is archived"


async def test_disks_that_cannot_be_assembled_keep_no_others_back(cluster: Cluster) -> None:
    found = await cluster.look()
    cluster.carrier.failing = set(found.instances)
    await asyncio.to_thread(disks.after_reboots, cluster.client, found, list(found.nodes))
    active = [one for one in found.secondaries_on(found.nodes) if one.disks_active]
    assert len(cluster.carrier.asked) == len(active)


async def test_nobody_is_waited_for_unless_that_is_wanted(cluster: Cluster) -> None:
    claim = levels.Claim(frozenset({cluster.secondary.uuid}), levels.Mode.EXCLUSIVE)
    async with await cluster.running.locks.acquire("7", {levels.Level.NODE: claim}):
        found = await cluster.look()
        assert found.busy == {f"node/{cluster.secondary.uuid}"}
        await asyncio.to_thread(disks.verify, cluster.client, found, is_strict=False)
        assert cluster.carrier.asked == []
        await asyncio.to_thread(disks.verify, cluster.client, found, is_strict=True)
    assert cluster.carrier.asked == [f"OP_GROUP_VERIFY_DISKS {found.uuid}"]


def test_a_group_whose_disks_only_their_provider_can_look_at_is_left_out() -> None:
    one = grouplook.Instance("web1", "running", disks_active=True, secondaries=(), template="ext")
    assert grouplook.Group("x", {}, {"web1": one}).is_verified_elsewhere
    other = grouplook.Instance(
        "web2", "running", disks_active=True, secondaries=(), template="file"
    )
    assert not grouplook.Group("x", {}, {"web1": one, "web2": other}).is_verified_elsewhere


def test_an_instance_that_is_split_between_groups_is_ignored() -> None:
    rows = [
        ["web1", "running", True, ["node2"], "a", ["a"], "drbd"],
        ["web2", "running", True, ["node3"], "a", ["b"], "drbd"],
    ]
    found = grouplook.assemble("a", [["node1", "n", "boot", False]], rows, [["node/n", "shared"]])
    assert list(found.instances) == ["web1"]
    assert found.nodes["node1"].boot_id == "boot"
    assert not found.busy
