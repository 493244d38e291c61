"""Taking an epoch and keeping it, among nodes that answer over the wire and keep their promises."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lab import answeringnodes, clusters
from pyganeti.base import errors, paths
from pyganeti.clients import claiming, promises
from pyganeti.clients import node as nodeclient
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.election import leadership, promised
from pyganeti.wire import epochs

State = leadership.State


class Ground:
    """Three nodes, each with a memory of its own, that a test makes silent or forgetful."""

    def __init__(self, directory: Path, answering: answeringnodes.Answering) -> None:
        self.nodes: list[calling.Node] = list(clusters.small(3).nodes.values())
        self.answering = answering
        self.layouts = {n.name: paths.Paths(directory / n.name, n.name) for n in self.nodes}
        self.silent: set[str] = set()
        for node in self.nodes:
            self.layouts[node.name].state_dir.mkdir(parents=True)
            self._have(node.name)

    def _have(self, name: str) -> None:
        async def promise(number: int, master: str) -> None:
            await promises.give(self.layouts[name], epochs.of(number, master))

        self.answering.say(name, "master_promise", promise)

    def known(self, name: str) -> epochs.Epoch | None:
        return promises.read(self.layouts[name].epoch_file).known

    async def promise(self, name: str, epoch: epochs.Epoch) -> None:
        await promises.give(self.layouts[name], epoch)

    async def ask(self, node: calling.Node, own: epochs.Epoch) -> None:
        if node.name in self.silent:
            raise errors.Unavailable(f"{node.name} does not take connections")
        known = self.known(node.name)
        if known is not None and known > own:
            raise nodeclient.Deposed("not the master", known)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with answeringnodes.started(clusters.small(3).nodes.values()) as answering:
        yield Ground(tmp_path, answering)


@contextlib.asynccontextmanager
async def leading(ground: Ground, *, is_sure: bool = False) -> AsyncIterator[promised.Promised]:
    name = ground.nodes[0].name
    async with ground.answering.asking() as nodes:
        taking = claiming.Claiming(ground.layouts[name], nodes)

        async def claim(above: int) -> epochs.Epoch:
            return await taking.claim(ground.nodes, needs_most=not is_sure, above=above)

        made = promised.Promised(
            await claim(0),
            voters=lambda: ground.nodes,
            ask=lambda node: ground.ask(node, made.current),
            claim=claim,
            words="",
            is_sure=is_sure,
            interval=0.02,
        )
        async with made.running():
            yield made


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - of conditions that wake nobody
            await asyncio.sleep(0.01)


async def test_each_that_begins_to_lead_has_a_later_epoch_and_all_nodes_know_it(
    ground: Ground,
) -> None:
    async with leading(ground) as first:
        assert first.epoch == 1
        first.check()
    async with leading(ground) as second:
        assert second.epoch == 2
        await until(lambda: all(ground.known(n.name) == second.current for n in ground.nodes))


async def test_an_epoch_is_above_all_that_nodes_follow(ground: Ground) -> None:
    await ground.promise(ground.nodes[2].name, epochs.of(41, "node9"))
    async with leading(ground) as made:
        assert made.epoch == 42


async def test_without_most_nodes_there_is_none_unless_nobody_need_be_asked(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_PAUSE", 0.0)
    for node in ground.nodes[1:]:
        ground.answering.say(node.name, "master_promise", _unwilling)
    with pytest.raises(claiming.NotPromised, match="only 1 of 3"):
        async with leading(ground):
            pass
    async with leading(ground, is_sure=True) as made:
        assert made.epoch > 1


def _unwilling(*_arguments: object) -> None:
    raise errors.Unavailable("the disk is full")


async def test_a_node_that_breaks_off_has_promised_nothing_unless_it_remembers_nothing(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_PAUSE", 0.0)
    for node in ground.nodes[1:]:
        ground.answering.say(node.name, "master_promise", _broken_off)
    with pytest.raises(claiming.NotPromised, match="only 1 of 3"):
        async with leading(ground):
            pass
    for node in ground.nodes[1:]:
        ground.answering.say(node.name, "version", 3000000)
    async with leading(ground) as made:
        made.check()


def _broken_off(*_arguments: object) -> None:
    raise ZeroDivisionError  # which the server answers with HTTP 500, and no header of ours


async def test_the_own_nodes_promise_needs_no_node_daemon(ground: Ground) -> None:
    gone = [clusters.replaced(clusters.small(3)).nodes[node.uuid] for node in ground.nodes[:1]]
    name = gone[0].name
    async with nodeclient.Caller(None, port=1) as caller:
        taking = claiming.Claiming(ground.layouts[name], calling.Nodes(caller))
        epoch = await taking.claim(gone, needs_most=True)
    assert ground.known(name) == epoch == epochs.of(1, name)


async def test_it_changes_nothing_while_most_are_silent_and_goes_on_when_they_answer(
    ground: Ground,
) -> None:
    async with leading(ground) as made:
        told: list[State] = []
        made.follow(lambda standing: told.append(standing.state))
        ground.silent = {ground.nodes[1].name}
        await made.assure()
        ground.silent |= {ground.nodes[2].name}
        with pytest.raises(leadership.NotLeading, match="no answer from"):
            await made.assure()
        with pytest.raises(leadership.NotLeading, match="--no-voting"):
            made.check()
        ground.silent.clear()
        await until(lambda: made.standing.state is State.LEADING)
        made.check()
        # It is told who is silent, too.
        assert [state for state, _ in itertools.groupby(told)][-2:] == [
            State.SUSPENDED,
            State.LEADING,
        ]
        assert made.standing.silent == ()
        assert not made.is_lost


async def test_who_has_said_that_there_is_no_other_is_in_no_doubt_until_most_follow_it(
    ground: Ground,
) -> None:
    gone = {node.name for node in ground.nodes[1:]}
    ground.silent = set(gone)
    async with leading(ground, is_sure=True) as made:
        await made.assure()
        assert "no answer from" in made.standing.words
        ground.silent.clear()
        await made.assure()
        ground.silent = gone
        with pytest.raises(leadership.NotLeading):
            await made.assure()


async def test_a_later_master_that_most_follow_is_the_end(ground: Ground) -> None:
    async with leading(ground) as made:
        for node in ground.nodes[1:]:  # between two looks of the master
            ground.layouts[node.name].epoch_file.write_bytes(epochs.encode(epochs.of(9, "node2")))
        why = await asyncio.wait_for(made.lost(), 10)
        assert "node2" in why
        assert made.is_lost
        with pytest.raises(leadership.NotLeading, match="not the master any more"):
            made.check()


async def test_one_that_came_to_nothing_is_outdone(ground: Ground) -> None:
    async with leading(ground) as made:
        await ground.promise(ground.nodes[2].name, epochs.of(9, "node3"))
        await until(lambda: made.epoch == 10)
        await until(lambda: made.standing.state is State.LEADING)
        assert ground.known(ground.nodes[2].name) == made.current
        assert not made.is_lost


async def test_a_refusal_stops_everything_until_it_is_known_what_it_means(ground: Ground) -> None:
    async with leading(ground) as made:
        later = epochs.of(9, "node3")
        made.hear(nodeclient.Deposed("node3: the master is node3", later))
        with pytest.raises(leadership.NotLeading, match="finding out"):
            made.check()
        await until(lambda: made.epoch == 10)
        made.check()
        made.hear(nodeclient.Deposed("an old answer", later))
        made.check()


async def test_after_a_long_silence_of_its_own_it_asks_before_it_changes_anything(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with leading(ground) as made:
        await made.assure()
        monkeypatch.setattr(promised, "STALE", -1.0)
        with pytest.raises(leadership.NotLeading, match="has not heard from the nodes"):
            made.check()
        monkeypatch.undo()
        made.check()


async def test_two_that_want_to_lead_at_once_are_not_both_promised_enough(ground: Ground) -> None:
    async with ground.answering.asking() as nodes:
        rounds = [
            claiming.Claiming(ground.layouts[n.name], nodes).claim(ground.nodes, needs_most=True)
            for n in ground.nodes[:2]
        ]
        taken = await asyncio.gather(*rounds)
    latest = max(taken)
    follow = [ground.known(node.name) for node in ground.nodes]
    assert follow.count(latest) == 3
    assert follow.count(min(taken)) == 0
