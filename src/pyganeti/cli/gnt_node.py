"""``gnt-node``: look at nodes, and change them."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.node"

GROUP: Final = groups.LazyGroup(
    "gnt-node",
    {
        "list": (f"{_HERE}.list", "List nodes."),
        "info": (f"{_HERE}.info", "Tell everything about nodes."),
        "modify": (f"{_HERE}.modify", "Change what a node is, may do, and is set to."),
        "powercycle": (f"{_HERE}.powercycle", "Reboot a node the hard way."),
        "migrate": (f"{_HERE}.migrate", "Move all instances that run on a node elsewhere."),
        "failover": (f"{_HERE}.failover", "Stop all instances of a node and start them elsewhere."),
        "add": (f"{_HERE}.add", "Take a machine into the cluster, or a node in again."),
        "remove": (f"{_HERE}.remove", "Have a node leave the cluster."),
        "power": (f"{_HERE}.power", "Power nodes on or off, or tell whether they are."),
        "health": (f"{_HERE}.health", "Tell how nodes' machines are."),
        "volumes": (f"{_HERE}.volumes", "List the logical volumes of nodes."),
        "list-storage": (f"{_HERE}.list_storage", "List the storage of nodes, and its room."),
        "modify-storage": (f"{_HERE}.modify_storage", "Change a storage unit of a node."),
        "repair-storage": (f"{_HERE}.repair_storage", "Repair a storage unit of a node."),
        "restricted-command": (f"{_HERE}.restricted_command", "Run a program that nodes allow."),
        "list-fields": (f"{_HERE}.list_fields", "List what can be shown of nodes."),
        "list-tags": (f"{_HERE}.list_tags", "List tags."),
        "add-tags": (f"{_HERE}.add_tags", "Add tags."),
        "remove-tags": (f"{_HERE}.remove_tags", "Remove tags."),
    },
    doc="Look at nodes, and change them.",
    aliases={"show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
