"""Debian's luxid and our engine, over the very same configuration: cell by cell, error by error."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from lab import clusters, luxids, luxiservers
from pyganeti.base import errors, paths
from pyganeti.cli import session
from pyganeti.cli.instance import laststop, stopasking
from pyganeti.clients import luxi
from pyganeti.masterd.config import filestore
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.watcher import grouplook

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(luxids.missing()), reason=luxids.missing() or "all is there"),
    pytest.mark.xdist_group("luxid"),
]

RESOURCES: Final = ("filter", "group", "instance", "network", "node")
ELSEWHERE: Final = {"console", "vcs_version"}
"""What a node that is down makes of it differs in words, and what we are called does."""

OURS: Final = {
    "epoch",
    "follows",
    "given_up",
    "given_up_time",
    "leads",
    "lease",
    "on_stop",
    "run_since",
    "start_priority",
    "stop_cause",
    "stop_node",
    "stop_time",
    "stop_why",
    "store",
}
"""Fields that Ganeti has not."""

CONDITIONS: Final[list[Any]] = [
    None,
    ["=", "name", "web1"],
    ["|", ["=", "name", "web2"], ["=", "name", "web1"], ["=", "name", "web2"]],
    ["=", "name", 5],
    ["?", "name"],
    ["?", "admin_up"],
    ["!", ["?", "admin_up"]],
    ["&", ["?", "admin_up"], ["=~", "name", "[23]"]],
    ["=", "pnode", "node1"],
    ["=", "pnode", "node1.example"],
    ["!=", "pnode", "node1"],
    ["=", "snodes", "x"],
    ["=[]", "snodes", "node3.example.com"],
    ["=[]", "tags", "some"],
    ["=[]", "tags", 5],
    ["=[]", "name", "x"],
    ["<", "name", "web2"],
    ["<", "ctime", 5],
    [">=", "ctime", 1700000000],
    ["=", "be/memory", 256],
    ["=", "admin_up", 1],
    ["=", "nic.network.name/0", "net1"],
    ["=", "disk.size/0", 1024],
    ["=", "disk.size/1", 1024],
    ["=", "nosuch", 1],
    ["?", "oper_ram"],
    ["=", "status", "ERROR_nodedown"],
    ["&", ["=", "status", "running"], ["=", "name", "web1"]],
]


def furnished() -> Snapshot:
    """Return a cluster with nodes that are down, offline and drained, on a port of nobody's."""
    return clusters.replaced(
        clusters.furnished(),
        clusters.node(2, offline=True, master_candidate=False),
        clusters.node(1, drained=True, master_candidate=False, ndparams={"oob_program": "/oob"}),
        clusters.instance(2, 3, admin_state="offline", osparams={"a": "b"}),
        clusters.instance(
            3, 3, hvparams={"acpi": False, "boot_order": "network"}, beparams={"vcpus": 3}
        ),
    )


@pytest.fixture(scope="module")
def at_theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[paths.Paths]:
    with luxids.started(tmp_path_factory.mktemp("x"), furnished()) as layout:
        yield layout


@pytest.fixture(scope="module")
def theirs(at_theirs: paths.Paths) -> Iterator[luxi.Client]:
    with luxi.Client(at_theirs) as client:
        yield client


async def same_configuration(layout: paths.Paths) -> Snapshot:
    kept, _ = await filestore.FileStore(layout).read()
    return entries.to_snapshot(kept)


@pytest.mark.parametrize("what", RESOURCES)
async def test_every_cell_is_the_same(theirs: luxi.Client, short_dir: Path, what: str) -> None:
    async with luxiservers.started(short_dir, furnished()) as running:
        known = running.engine.query_fields(what)["fields"]
        fields = [field["name"] for field in known if field["name"] not in ELSEWHERE | OURS]
        ours = msgspec.json.decode(await running.engine.query_encoded(what, fields))
    answer = await asyncio.to_thread(theirs.query, what, fields)
    assert len(ours["data"]) == len(answer["data"])
    for our_row, their_row in zip(ours["data"], answer["data"], strict=True):
        assert dict(zip(fields, our_row, strict=True)) == dict(zip(fields, their_row, strict=True))


async def test_the_cluster_is_described_the_same(theirs: luxi.Client, short_dir: Path) -> None:
    async with luxiservers.started(short_dir, furnished()) as running:
        ours = json.loads(msgspec.json.encode(running.engine.cluster_info()))
    answer = await asyncio.to_thread(theirs.query_cluster_info)
    for info in (ours, answer):
        info.pop("vcs_version")
    assert ours == answer


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
async def test_every_condition_finds_the_same(
    theirs: luxi.Client, short_dir: Path, condition: Any
) -> None:
    async with luxiservers.started(short_dir, furnished()) as running:
        with running.client() as client:
            ours = await found(client, condition)
    assert ours == await found(theirs, condition)


async def test_a_pass_sees_the_same_of_a_group_at_both(
    theirs: luxi.Client, short_dir: Path
) -> None:
    """But for locks: those are another daemon's of theirs."""
    snapshot = furnished()

    def look(client: luxi.Client) -> list[grouplook.Group]:
        return [
            grouplook.assemble(
                uuid, grouplook.nodes_of(client, uuid), grouplook.instances_of(client, uuid), []
            )
            for uuid in snapshot.groups
        ]

    async with luxiservers.started(short_dir, snapshot) as running:
        with running.client() as client:
            ours = await asyncio.to_thread(look, client)
    assert any(group.instances for group in ours)
    assert ours == await asyncio.to_thread(look, theirs)


def test_who_asks_theirs_about_stops_is_told_that_it_knows_none(at_theirs: paths.Paths) -> None:
    current = session.Session("gnt-instance", at_theirs)
    try:
        with pytest.raises(errors.Unavailable, match="keeps no record of stops, as Ganeti's"):
            stopasking.ask(current, stopasking.Wanted(names=["web1"]))
        assert laststop.ask(current, ["web1.example.com"]) == {}
    finally:
        current.close()


async def found(client: luxi.Client, condition: Any) -> Any:
    """Return names, or the kind of error and what it says."""
    try:
        answer = await asyncio.to_thread(client.query, "instance", ["name"], condition)
    except errors.Failure as error:
        return type(error), str(error)
    return answer["data"]
