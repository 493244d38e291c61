"""Nodes are asked as long as whoever asks them is the master."""

import pytest

from lab import answeringnodes, clusters
from pyganeti.base import errors


async def test_one_that_is_the_master_no_more_has_nothing_done_but_giving_up() -> None:
    snapshot = clusters.small(2)
    node = snapshot.master
    async with answeringnodes.started(snapshot.nodes.values()) as answering:
        for call in ("instance_start", "node_deactivate_master_ip"):
            answering.say(node.name, call, None)
        async with answering.asking() as nodes:
            await nodes.call(node, "instance_start", "web")
            nodes.is_over = lambda: True
            answers = await nodes.each([node], "instance_start", ["web"])
            with pytest.raises(errors.Unavailable, match="another is the master"):
                answers[node.uuid].unwrap()
            await nodes.call(node, "node_deactivate_master_ip")
    assert [call for _, call, _ in answering.asked] == [
        "instance_start",
        "node_deactivate_master_ip",
    ]
