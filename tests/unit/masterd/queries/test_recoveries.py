"""Fields that tell what is done when an instance falls, from the tags at all levels."""

from typing import Any

import msgspec

from lab import clusters
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.config.table import Table

replace = msgspec.structs.replace
TAGS = ("pyganeti:on-stop:killed:leave", "pyganeti:start-priority:7", "pyganeti:gave-up:1700000000")


def tagged() -> Snapshot:
    """Return a configuration with settings at each level; one instance has its own."""
    small = clusters.small()
    instance = small.instance("web1")
    group = small.groups[small.nodes[instance.primary_node].group]
    return replace(
        small,
        cluster=replace(
            small.cluster, enabled_user_shutdown=True, tags=("pyganeti:on-stop:crashed:down",)
        ),
        groups=Table({group.uuid: replace(group, tags=("pyganeti:on-stop:exited:down",))}),
        instances=Table({**small.instances, instance.uuid: replace(instance, tags=TAGS)}),
    )


async def test_what_holds_is_told(make_engine: Any) -> None:
    fields = ["on_stop", "start_priority", "given_up_time"]

    answer = await make_engine(tagged()).query("instance", fields, ["=", "name", "web1"])

    [[(_, on_stop), priority, when]] = answer["data"]
    assert [on_stop[one] for one in ("killed", "crashed", "exited")] == ["leave", "down", "down"]
    assert on_stop["user-poweroff"] == "restart"  # its own switch is off
    assert (priority, when) == ((0, 7), (0, 1700000000))


async def test_those_that_were_given_up_are_found(make_engine: Any) -> None:
    answer = await make_engine(tagged()).query("instance", ["name"], ["?", "given_up"])

    assert [name for [(_, name)] in answer["data"]] == ["web1.example.com"]
