import msgspec
import pytest

from lab import clusters
from pyganeti.base import errors
from pyganeti.cli.bootstrap import failover


@pytest.mark.parametrize(
    "said",
    [
        {"n1": "n1", "n2": "n1", "n3": "n1"},
        {"n1": None, "n2": "n1", "n3": "n1"},
        {"n1": None, "n2": "n1", "n3": "n2"},  # it was cut off when one had been told
        {"n1": "n1", "n2": "n1", "n3": "n3"},
    ],
)
def test_most_nodes_that_name_the_old_master_let_it_be_replaced(said: dict[str, str]) -> None:
    failover.Votes(said).check("n1", "n2")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"n1": None, "n2": "n1"}, "only 1 of 2 nodes answer.*no answer from n1"),
        ({"n1": None, "n2": "n1", "n3": None, "n4": "n1"}, "only 2 of 4"),
        ({"n1": "n3", "n2": "n1", "n3": "n3"}, "the others name n3"),
        ({"n1": None, "n2": "n1", "n3": "n3"}, "the others name n3"),
    ],
)
def test_a_new_master_that_others_would_not_confirm_is_refused(
    said: dict[str, str | None], why: str
) -> None:
    with pytest.raises(errors.BadInput, match=why):
        failover.Votes(said).check("n1", "n2")


def test_the_configuration_is_raised_once_however_often_it_is_done() -> None:
    before = clusters.small()
    node = next(node for node in before.nodes.values() if node.uuid != before.cluster.master_node)

    after = failover.renamed(before, node, before.mtime + 1)

    assert after.master == node
    assert after.serial_no == before.serial_no + 1
    assert after.cluster.serial_no == before.cluster.serial_no + 1
    assert failover.renamed(after, node, after.mtime + 1) is after
    back = msgspec.structs.replace(after, cluster=before.cluster, serial_no=1, mtime=before.mtime)
    assert back.nodes == before.nodes
