"""Tags that are settings for recovery and count for nothing are named, with what has them."""

import msgspec

from lab import clusters
from pyganeti.masterd.ops.verifying import recovering
from pyganeti.model.config.table import Table

replace = msgspec.structs.replace
WRONG = "pyganeti:on-stop:killed:explode"


def test_a_wrong_setting_is_named_wherever_it_stands() -> None:
    small = clusters.small()
    [instance, *_] = small.instances.values()
    [node, *_] = small.nodes.values()
    [group, *_] = small.groups.values()
    snapshot = replace(
        small,
        cluster=replace(small.cluster, tags=(WRONG, "web")),
        groups=Table({group.uuid: replace(group, tags=(WRONG,))}),
        nodes=Table({**small.nodes, node.uuid: replace(node, tags=(WRONG,))}),
        instances=Table({**small.instances, instance.uuid: replace(instance, tags=(WRONG,))}),
    )

    told = recovering.problems(snapshot)

    places = [text.split(": tag")[0] for text in told]
    assert places == [
        f"cluster {small.cluster.name}",
        f"node group {group.name}",
        f"node {node.name}",
        f"instance {instance.name}",
    ]
    assert all(WRONG in text and "explode" in text for text in told)


def test_nothing_is_said_of_right_settings_and_of_other_tags() -> None:
    small = clusters.small()
    tags = ("web", "htools:iextags:a", "pyganeti:on-stop:killed:leave", "pyganeti:restarts:3/60")
    snapshot = replace(small, cluster=replace(small.cluster, tags=tags))

    assert recovering.problems(snapshot) == []
