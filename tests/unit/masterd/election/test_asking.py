import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from lab import answeringnodes, clusters
from pyganeti.base import paths
from pyganeti.masterd.election import asking, leadership
from pyganeti.model.config.node import Node

CALL = "master_node_name"
PAUSE = 0.01


def voters(number: int, *, offline: int = 0) -> list[Node]:
    """Return so many nodes, the last ones offline; the first is the candidate."""
    known = list(clusters.small(nodes=number).nodes.values())
    return [
        msgspec.structs.replace(node, offline=at >= number - offline)
        for at, node in enumerate(known)
    ]


@contextlib.asynccontextmanager
async def asked(
    root: Path, known: list[Node], *votes: str
) -> AsyncIterator[tuple[answeringnodes.Answering, paths.Paths]]:
    """Have the nodes after the first vote, as far as there are votes."""
    layout = paths.Paths(root, known[0].name)
    layout.state_dir.mkdir(parents=True)
    layout.ssconf("master_node").write_text(f"{known[0].name}\n")
    async with answeringnodes.started(known) as answering:
        for node, vote in zip(known[1:], votes, strict=False):
            answering.say(node.name, CALL, vote)
        yield answering, layout


async def test_offline_nodes_are_not_asked_and_count_as_silent(tmp_path: Path) -> None:
    known = voters(3, offline=1)
    async with (
        asked(tmp_path, known, known[0].name, known[0].name) as (answering, layout),
        answering.asking() as nodes,
    ):
        tally = await asking.confirm(layout, known[0].name, known, nodes)

        assert answering.calls(CALL) == [known[1].name]
    assert tally.silent == (known[2].name,)


async def test_of_two_both_have_to_agree_and_silence_is_asked_again_and_again(
    tmp_path: Path,
) -> None:
    known = voters(2)
    async with (
        asked(tmp_path, known) as (answering, layout),
        answering.asking() as nodes,
    ):
        with pytest.raises(asking.Refused, match=r"no answer from .*start with --no-voting"):
            await asking.confirm(layout, known[0].name, known, nodes, retries=6, pause=PAUSE)

        assert len(answering.calls(CALL)) == 1 + 6


async def test_a_node_that_answers_in_the_end_decides(tmp_path: Path) -> None:
    known = voters(2)
    async with (
        asked(tmp_path, known) as (answering, layout),
        answering.asking() as nodes,
    ):

        def late() -> object:
            return known[0].name if len(answering.calls(CALL)) > 2 else None

        answering.say(known[1].name, CALL, late)
        await asking.confirm(layout, known[0].name, known, nodes, pause=PAUSE)

        assert len(answering.calls(CALL)) == 3


async def test_who_is_outvoted_does_not_ask_twice(tmp_path: Path) -> None:
    known = voters(3)
    async with (
        asked(tmp_path, known, known[2].name, known[2].name) as (answering, layout),
        answering.asking() as nodes,
    ):
        with pytest.raises(leadership.NotLeading, match=f"2 say {known[2].name}"):
            await asking.confirm(layout, known[0].name, known, nodes, pause=PAUSE)

        assert len(answering.calls(CALL)) == 2


async def test_nonsense_is_no_vote(tmp_path: Path) -> None:
    known = voters(2)
    async with (
        asked(tmp_path, known) as (answering, layout),
        answering.asking() as nodes,
    ):
        answering.say(known[1].name, CALL, {"master": [known[0].name]})
        with pytest.raises(asking.Refused, match="1 of 2"):
            await asking.confirm(layout, known[0].name, known, nodes, retries=0)
