"""LUXI over the real configuration, queue and locks, and a real node daemon: nothing is played."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from lab import clusters, luxiservers, nodedaemons
from pyganeti.base import errors, paths
from pyganeti.clients import luxi
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes
from pyganeti.masterd.config import filestore, state
from pyganeti.masterd.jobs import queue
from pyganeti.masterd.locks import manager
from pyganeti.masterd.queries import cluster, engine
from pyganeti.masterd.server import methods, server
from pyganeti.model.config import entries
from pyganeti.model.config.snapshot import Snapshot


@dataclass(slots=True)
class Whole:
    """The master daemon's parts around LUXI, wired as the daemon wires them."""

    layout: paths.Paths
    config: state.Config
    client: luxi.Client
    noded: nodedaemons.Noded


def _snapshot() -> Snapshot:
    begun = clusters.small(nodes=2, instances=2)
    address = {"primary_ip": "127.0.0.1", "secondary_ip": "127.0.0.1"}
    offline = clusters.node(1, offline=True, master_candidate=False)
    return clusters.replaced(begun, clusters.node(0, **address), offline)


@pytest.fixture
async def whole(short_dir: Path) -> AsyncIterator[Whole]:
    layout = paths.Paths(short_dir, "node1.example.com")
    filestore.create(layout, entries.from_snapshot(_snapshot()))
    layout.queue_dir.mkdir(parents=True)
    noded = nodedaemons.Noded(short_dir)
    with noded:
        async with contextlib.AsyncExitStack() as stack:
            config = await stack.enter_async_context(state.opened(filestore.FileStore(layout)))
            caller = nodeclient.Caller(noded.context(), port=noded.port)
            calling = nodes.Nodes(await stack.enter_async_context(caller))
            locks = manager.Manager()
            jobs = queue.Queue(layout.queue_dir, luxiservers.Working())
            await stack.enter_async_context(jobs)
            here = cluster.Here(lambda: jobs.is_drained, layout.state_dir / "watcher.pause")
            questions = engine.Engine(
                config=config, nodes=calling, queue=jobs, locks=locks, surroundings=here
            )
            table = methods.Methods(queue=jobs, engine=questions, config=config, nodes=calling)
            sockets = [layout.query_socket, layout.master_socket]
            await stack.enter_async_context(server.Server(sockets, table, group=luxiservers.GROUP))
            client = stack.enter_context(luxi.Client(layout))
            yield Whole(layout, config, client, noded)


async def test_a_real_node_is_asked_for_live_data(whole: Whole) -> None:
    fields = ["name", "status", "oper_ram", "console"]
    answer = await asyncio.to_thread(whole.client.query, "instance", fields)
    first, second = answer["data"]
    assert first[:3] == [[0, "web1.example.com"], [0, "ERROR_down"], [3, None]]
    assert first[3][0] == 0
    assert first[3][1]["instance"] == "web1.example.com"
    assert second[1:3] == [[0, "ERROR_nodeoffline"], [4, None]]


async def test_a_real_node_says_what_it_has(whole: Whole) -> None:
    fields = ["mtotal", "ctotal", "bootid", "dtotal"]
    first, second = (await asyncio.to_thread(whole.client.query, "node", fields))["data"]
    assert first[0][1] > 100
    assert first[1][1] >= 1
    assert len(first[2][1]) == 36
    assert first[3] == [2, None], "there is no such directory"
    assert second == [[4, None]] * 4


async def test_a_real_node_that_dies_costs_its_instances_status_only(whole: Whole) -> None:
    whole.noded.kill()
    answer = await asyncio.to_thread(whole.client.query, "instance", ["name", "status", "oper_ram"])
    assert answer["data"][0] == [[0, "web1.example.com"], [0, "ERROR_nodedown"], [2, None]]


async def test_what_a_real_node_has_installed_and_exported(whole: Whole) -> None:
    (whole.layout.root / "srv/ganeti/export/web1").mkdir(parents=True)
    exported = await asyncio.to_thread(whole.client.query_exports, [])
    assert exported == [["node1.example.com", "web1"], ["node2.example.com", None]]
    (whole.layout.root / "srv/ganeti/os/halved").mkdir(parents=True)
    found = (await asyncio.to_thread(whole.client.query, "os", ["name", "valid"]))["data"]
    assert [[0, "halved"], [0, False]] in found


async def test_filter_rules_are_made_replaced_and_removed_durably(whole: Whole) -> None:
    client = whole.client
    predicates = [["jobid", [">", "id", 5]], ["reason", ["=", "source", "x"]]]
    made = await asyncio.to_thread(
        client.replace_filter, None, 3, predicates, "PAUSE", [["me", "because", 7]]
    )
    fields = ["uuid", "priority", "predicates", "action", "reason_trail", "watermark"]
    [row] = await asyncio.to_thread(client.query_filters, [made], fields)
    assert row[:4] == [made, 3, predicates, "PAUSE"]
    assert row[4][0] == ["me", "because", 7]
    assert row[4][1][0] == "luxid"
    limited = ["RATE_LIMIT", 2]
    same = await asyncio.to_thread(client.replace_filter, made, 1, [], limited, [])
    assert same == made
    [row] = await asyncio.to_thread(client.query_filters, None, fields)
    assert row[1:4] == [1, [], limited]
    kept, _ = await filestore.FileStore(whole.layout).read()
    assert made in entries.to_snapshot(kept).filters
    await asyncio.to_thread(client.delete_filter, made)
    assert await asyncio.to_thread(client.query_filters, None, fields) == []
    with pytest.raises(errors.Failure, match="does not exist"):
        await asyncio.to_thread(client.delete_filter, made)
    with pytest.raises(errors.Failure, match="parse UUID"):
        await asyncio.to_thread(client.replace_filter, "x", 1, [], "PAUSE", [])


async def test_the_watcher_is_paused_where_it_runs(whole: Whole) -> None:
    until = int(time.time()) + 1000
    assert await asyncio.to_thread(whole.client.set_watcher_pause, until) == until
    values = await asyncio.to_thread(whole.client.query_config_values, ["watcher_pause"])
    assert values == [until]
    assert await asyncio.to_thread(whole.client.set_watcher_pause, None) is None
    values = await asyncio.to_thread(whole.client.query_config_values, ["watcher_pause"])
    assert values == [None]
    whole.noded.kill()
    with pytest.raises(errors.Failure, match=r"node1\.example\.com"):
        await asyncio.to_thread(whole.client.set_watcher_pause, until)


async def test_a_question_sees_a_change_as_soon_as_it_is_durable(whole: Whole) -> None:
    def edit(draft: methods.Draft) -> None:
        found = draft.snapshot.instance("web1")
        draft.put(msgspec.structs.replace(found, tags=("new",)))

    await whole.config.change(edit)
    assert await asyncio.to_thread(whole.client.query_tags, "instance", "web1") == ["new"]


async def test_a_job_is_submitted_and_followed_by_a_command(whole: Whole) -> None:
    heard: list[object] = []
    results = await asyncio.to_thread(
        whole.client.submit_and_wait,
        [{"OP_ID": "OP_TEST_DELAY", "duration": 0.05, "reason": []}],
        lambda message: heard.append(message.text),
    )
    assert results == [None]
    assert "it takes 0.05 s" in heard
    assert await asyncio.to_thread(whole.client.auto_archive, -1) == (1, 0)
    archived = await asyncio.to_thread(
        whole.client.query, "job", ["id", "archived", "status"], ["?", "archived"]
    )
    assert archived["data"] == [[[0, 1], [0, True], [0, "success"]]]
