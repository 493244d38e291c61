"""What is done when an instance falls: fields of instances that come from tags, asking nobody."""

from typing import Any, Final

from pyganeti.masterd.queries import cells, fields, instancelive
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.recovery import policy, settings


def _gave_up(row: Instance) -> Cell:
    return cells.value_or(settings.read(row.tags).gave_up, cells.UNAVAILABLE)


def _rules(snapshot: Snapshot) -> fields.Getter[Instance]:
    cluster = snapshot.cluster
    groups = {
        uuid: snapshot.groups[node.group].tags if node.group in snapshot.groups else ()
        for uuid, node in snapshot.nodes.items()
    }

    def getter(row: Instance) -> Cell:
        found = policy.of(
            row.tags,
            groups.get(row.primary_node, ()),
            cluster.tags,
            may_user_shut_down=cluster.enabled_user_shutdown
            and instancelive.allows_user_shutdown(snapshot, row),
        )
        return cells.NORMAL, {cause: rule.action for cause, rule in found.rules.items()}

    return getter


FIELDS: Final[list[fields.Field[Instance, Any]]] = [
    fields.plain(
        "given_up",
        "GivenUp",
        Kind.BOOL,
        "Whether restarting it was given up, and nobody has forgiven that since",
        lambda row: settings.read(row.tags).gave_up is not None,
    ),
    fields.Field(
        "given_up_time", "GivenUpTime", Kind.TIMESTAMP, "When that was", lambda _: _gave_up
    ),
    fields.bound(
        "on_stop", "OnStop", Kind.OTHER, "What is done after a stop, by its cause", _rules
    ),
    fields.plain(
        "start_priority",
        "StartPriority",
        Kind.NUMBER,
        "Those of higher numbers come back first with their node",
        lambda row: settings.read(row.tags).priority or 0,
    ),
]
