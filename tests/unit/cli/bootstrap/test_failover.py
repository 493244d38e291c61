import msgspec

from lab import clusters
from pyganeti.cli.bootstrap import failover


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
