"""Nodes get the newest state and nothing in between, each by itself, until they have it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import configurations, recordingnodes
from pyganeti.base import paths
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as masternodes
from pyganeti.masterd.config import distribution, filestore, state
from pyganeti.masterd.config import (
    draft as drafts,
)
from pyganeti.model.config import datafile, entries, ssconf
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import noderpc

replace = msgspec.structs.replace
_PAUSES = (0.02, 0.1)
_COUNT = 5
"""Node 1 is the master, 1 to 3 are candidates, 5 is offline."""


@dataclass
class _Cluster:
    config: state.Config
    nodes: recordingnodes.RecordingNodes
    distributor: distribution.Distributor

    async def tag(self, tag: str) -> None:
        await self.config.change(
            lambda draft: draft.put(replace(draft.snapshot.instance("inst1"), tags=(tag,)))
        )

    async def node(self, number: int, **change: Any) -> None:
        await self.config.change(
            lambda draft: draft.put(replace(draft.snapshot.node(f"node{number}"), **change))
        )

    async def wait_behind(self, *names: str) -> None:
        """Wait until exactly these nodes do not have what is current."""
        async with asyncio.timeout(recordingnodes.PATIENCE):
            while tuple(await self.config.distributed(timeout=0.1)) != names:
                pass

    async def settled(self) -> tuple[str, ...]:
        found = await self.config.distributed(timeout=recordingnodes.PATIENCE)
        return tuple(found)


def _addressed(snapshot: Snapshot, nodes: recordingnodes.RecordingNodes) -> Snapshot:
    changed = {
        node.uuid: replace(
            node,
            primary_ip=nodes.address(number),
            secondary_ip=nodes.address(number),
            master_candidate=number <= 3,
            offline=number == 5,
        )
        for number, node in enumerate(snapshot.nodes.values(), 1)
    }
    return replace(snapshot, nodes=snapshot.nodes.changed(changed))


@pytest.fixture
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[_Cluster]:
    """Open a cluster; with the parameter its configuration is kept elsewhere than in the file."""
    master_too = getattr(request, "param", False)
    layout = paths.Paths(tmp_path, "node1.example.com")
    async with recordingnodes.RecordingNodes(_COUNT) as nodes:
        snapshot = _addressed(configurations.of(8, _COUNT), nodes)
        filestore.create(layout, entries.from_snapshot(snapshot))
        kept = filestore.FileStore(layout)
        async with (
            nodeclient.Caller(None, port=nodes.port, connect_patience=0.5) as caller,
            state.opened(kept) as config,
        ):
            distributor = distribution.Distributor(
                masternodes.Nodes(caller), kept.copy, master_too=master_too, pauses=_PAUSES
            )
            config.distribution = distributor
            config.follow(distributor.follow)
            async with distributor.running():
                distributor.follow(config.current)
                yield _Cluster(config, nodes, distributor)


def _uploaded(call: tuple[str, list[Any]]) -> Snapshot:
    return entries.to_snapshot(datafile.parse(noderpc.decode_blob(call[1][1])))


def _shape(calls: list[tuple[str, list[Any]]]) -> list[str]:
    return [name for name, _ in calls]


async def test_at_the_start_everybody_is_sent_what_he_should_have(cluster: _Cluster) -> None:
    assert await cluster.settled() == ()
    assert _shape(cluster.nodes.calls(1)) == ["write_ssconf_files"]
    assert _shape(cluster.nodes.calls(2)) == ["write_ssconf_files", "upload_file_single"]
    assert _shape(cluster.nodes.calls(3)) == ["write_ssconf_files", "upload_file_single"]
    assert _shape(cluster.nodes.calls(4)) == ["write_ssconf_files"]
    assert _shape(cluster.nodes.calls(5)) == []
    assert cluster.nodes.calls(4)[0][1] == [ssconf.make(cluster.config.current)]
    path, _, mode, user, group, accessed, changed = cluster.nodes.calls(2)[1][1]
    assert (path, mode) == ("/var/lib/ganeti/config.data", 0o100640)
    assert user
    assert group
    assert accessed == changed > 1_700_000_000
    assert _uploaded(cluster.nodes.calls(2)[1]) == cluster.config.current


@pytest.mark.parametrize("cluster", [True], indirect=True)
async def test_a_master_whose_configuration_is_kept_elsewhere_gets_a_copy_too(
    cluster: _Cluster,
) -> None:
    assert await cluster.settled() == ()
    await cluster.tag("a")
    assert await cluster.settled() == ()
    assert _shape(cluster.nodes.calls(1)) == ["write_ssconf_files", *["upload_file_single"] * 2]
    assert _uploaded(cluster.nodes.calls(1)[-1]) == cluster.config.current


async def test_a_change_goes_to_candidates_and_settings_only_if_they_changed(
    cluster: _Cluster,
) -> None:
    await cluster.settled()
    await cluster.tag("a")
    assert await cluster.settled() == ()
    assert _shape(cluster.nodes.calls(2))[2:] == ["upload_file_single"]
    assert _shape(cluster.nodes.calls(4))[1:] == []
    assert _uploaded(cluster.nodes.calls(3)[-1]) == cluster.config.current
    await cluster.config.change(
        lambda draft: draft.put(replace(draft.snapshot.instance("inst1"), name="other"))
    )
    assert await cluster.settled() == ()
    (settings,) = cluster.nodes.calls(4)[-1][1]
    assert "other" in settings["instance_list"]
    assert _shape(cluster.nodes.calls(1)) == ["write_ssconf_files"] * 2


async def test_a_node_that_hangs_delays_nobody_and_misses_what_is_over(cluster: _Cluster) -> None:
    await cluster.settled()
    cluster.nodes.hang(2)
    for number in range(30):
        await cluster.tag(str(number))
        await cluster.nodes.wait(
            lambda newest=cluster.config.current.serial_no: any(  # type: ignore[misc]
                _uploaded(call).serial_no >= newest
                for call in cluster.nodes.calls(3, "upload_file_single")[-1:]
            )
        )
    await cluster.wait_behind("node2.example.com")
    assert len(cluster.nodes.calls(2, "upload_file_single")) == 2
    cluster.nodes.go_on(2)
    assert await cluster.settled() == ()
    assert len(cluster.nodes.calls(2, "upload_file_single")) == 3
    assert _uploaded(cluster.nodes.calls(2)[-1]).instance("inst1").tags == ("29",)


async def test_who_has_no_patience_waits_for_no_node_that_takes_nothing(cluster: _Cluster) -> None:
    await cluster.settled()
    cluster.nodes.refuse(2)
    await cluster.tag("missed")
    async with asyncio.timeout(20):
        assert await cluster.config.distributed(timeout=60, patient=False) == ("node2.example.com",)
        cluster.nodes.accept(2)
        assert await cluster.config.distributed(timeout=60) == ()
        assert await cluster.config.distributed(timeout=60, patient=False) == ()


@pytest.mark.parametrize("how", ["refuses", "is down"])
async def test_a_node_that_was_away_is_brought_up_to_date(cluster: _Cluster, how: str) -> None:
    await cluster.settled()
    if how == "refuses":
        cluster.nodes.refuse(2)
    else:
        await cluster.nodes.stop(2)
    await cluster.tag("missed")
    await cluster.node(4, vm_capable=False)
    await cluster.wait_behind("node2.example.com")
    cluster.nodes.accept(2)
    if how == "is down":
        await cluster.nodes.start(2)
    assert await cluster.settled() == ()
    assert _uploaded(cluster.nodes.calls(2)[-1]) == cluster.config.current
    assert cluster.nodes.calls(2, "write_ssconf_files")[-1][1][0]["node_vm_capable"][3] == (
        "node4.example.com=False"
    )


async def test_a_node_that_is_offline_is_left_alone_until_it_is_back(cluster: _Cluster) -> None:
    await cluster.settled()
    await cluster.node(2, offline=True, master_candidate=False)
    await cluster.tag("a")
    assert await cluster.settled() == ()
    assert len(cluster.nodes.calls(2)) == 2
    assert cluster.nodes.calls(4)[-1][1][0]["offline_nodes"] == [
        "node2.example.com",
        "node5.example.com",
    ]
    await cluster.node(2, offline=False)
    await cluster.node(5, offline=False)
    assert await cluster.settled() == ()
    assert cluster.nodes.calls(2)[-1][0] == "write_ssconf_files"
    assert set(_shape(cluster.nodes.calls(5))) == {"write_ssconf_files"}


async def test_a_node_becomes_and_ceases_to_be_a_candidate(cluster: _Cluster) -> None:
    await cluster.settled()
    await cluster.node(4, master_candidate=True)
    assert await cluster.settled() == ()
    assert _uploaded(cluster.nodes.calls(4, "upload_file_single")[-1]) == cluster.config.current
    await cluster.node(4, master_candidate=False)
    await cluster.tag("a")
    assert await cluster.settled() == ()
    assert len(cluster.nodes.calls(4, "upload_file_single")) == 1
    await cluster.node(4, master_candidate=True)
    assert await cluster.settled() == ()
    assert len(cluster.nodes.calls(4, "upload_file_single")) == 2


async def test_a_node_that_is_removed_is_sent_nothing_more(cluster: _Cluster) -> None:
    await cluster.settled()

    def remove(draft: drafts.Draft) -> None:
        node = draft.snapshot.node("node3")
        for instance in draft.snapshot.instances_on(node):
            draft.remove_instance(instance)
        draft.remove(node)

    cluster.nodes.refuse(3)
    before = len(cluster.nodes.calls(3))
    await cluster.config.change(remove)
    assert await cluster.settled() == ()
    assert len(cluster.nodes.calls(3)) == before
    assert cluster.nodes.calls(4)[-1][1][0]["node_list"] == [
        f"node{number}.example.com" for number in (1, 2, 4, 5)
    ]


async def test_everything_is_sent_again_when_asked_for(cluster: _Cluster) -> None:
    await cluster.settled()
    cluster.distributor.renew()
    assert await cluster.settled() == ()
    assert _shape(cluster.nodes.calls(2)) == ["write_ssconf_files", "upload_file_single"] * 2
    assert _shape(cluster.nodes.calls(1)) == ["write_ssconf_files"] * 2


async def test_a_change_waits_for_no_node(cluster: _Cluster) -> None:
    for number in range(1, _COUNT + 1):
        cluster.nodes.hang(number)
    async with asyncio.timeout(recordingnodes.PATIENCE):
        await cluster.tag("a")
    names = await cluster.config.distributed(timeout=0.02)
    assert list(names) == [f"node{number}.example.com" for number in (1, 2, 3, 4)]


async def test_many_changes_are_packed_few_times(cluster: _Cluster) -> None:
    await cluster.settled()
    for number in range(50):
        await cluster.tag(str(number))
    assert await cluster.settled() == ()
    seen = [_uploaded(call).serial_no for call in cluster.nodes.calls(2, "upload_file_single")]
    assert seen == sorted(seen)
    assert len(seen) < 50
    assert _uploaded(cluster.nodes.calls(2)[-1]) == cluster.config.current


def test_settings_are_looked_at_only_if_something_of_theirs_changed() -> None:
    before = configurations.of(5)
    draft = drafts.Draft(before, 1.0)
    draft.put(replace(draft.snapshot.instance("inst1"), admin_state="down"))
    assert not distribution.settings_differ(before, draft.finished())
    draft.put(replace(draft.snapshot.instance("inst1"), name="x"))
    assert distribution.settings_differ(before, draft.finished())
