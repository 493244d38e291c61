"""Gathering votes, again and again until they decide, as often as is sensible.

Offline nodes are not asked and count as silent. The candidate's own vote is read from its own
ssconf: its node daemon need not run for that.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from pyganeti.base import errors, log, paths, ssconf
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.election import leadership, voting

_LOG = log.get(__name__)

RETRIES: Final = 6
PAUSE: Final = 10.0
_PATIENCE: Final = 10.0
"""Seconds that a node has to say who the master is."""


class Refused(errors.Failure):
    """The votes leave open whether this node is the master."""


async def confirm(
    layout: paths.Paths,
    name: str,
    voters: Iterable[calling.Node],
    nodes: calling.Nodes,
    *,
    retries: int = RETRIES,
    pause: float = PAUSE,
) -> voting.Tally:
    """Return the votes once they confirm that the node ``name`` is the master.

    Raises NotLeading, with the votes in words, if they do not, Refused if not enough come in after
    ``retries`` more rounds with ``pause`` seconds between them.
    """
    everyone = list(voters)
    left = retries
    while True:
        tally = voting.count(name, await _gather(layout, name, everyone, nodes))
        if tally.outcome is voting.Outcome.WON:
            _LOG.info("the nodes confirm that this is the master", votes=tally.describe())
            return tally
        if tally.outcome is voting.Outcome.LOST:
            raise leadership.NotLeading(f"this node is not the master: {tally.describe()}")
        if not left:
            raise Refused(
                f"too few nodes answer to be sure that this is the master: {tally.describe()};"
                " if you are sure, start with --no-voting"
            )
        _LOG.warning("too few votes yet; asking again", votes=tally.describe(), left=left)
        left -= 1
        await asyncio.sleep(pause)


async def _gather(
    layout: paths.Paths, name: str, voters: list[calling.Node], nodes: calling.Nodes
) -> dict[str, str | None]:
    """Return the votes as soon as they decide: who is silent then is not waited for."""
    votes: dict[str, str | None] = dict.fromkeys(node.name for node in voters)
    own = await asyncio.to_thread(ssconf.read, layout, "master_node")
    if name in votes:
        votes[name] = (own or "").strip() or None
    waiting = {
        asyncio.create_task(nodes.call(node, "master_node_name", timeout=_PATIENCE)): node.name
        for node in voters
        if node.name != name and not node.offline
    }
    try:
        while waiting and voting.count(name, votes).outcome is voting.Outcome.OPEN:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                voter = waiting.pop(task)
                votes[voter] = _vote(task, voter)
    finally:
        for task in waiting:
            task.cancel()
    return votes


def _vote(task: "asyncio.Task[object]", voter: str) -> str | None:
    try:
        said = task.result()
    except errors.Failure as error:
        _LOG.warning("a node does not vote", node=voter, why=str(error))
        return None
    return said if isinstance(said, str) else None
