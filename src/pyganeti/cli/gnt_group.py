"""``gnt-group``: look at node groups, and change them."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.group"

GROUP: Final = groups.LazyGroup(
    "gnt-group",
    {
        "list": (f"{_HERE}.list", "List node groups."),
        "info": (f"{_HERE}.info", "Tell everything about node groups."),
        "add": (f"{_HERE}.add", "Add a node group."),
        "modify": (f"{_HERE}.modify", "Change a node group."),
        "remove": (f"{_HERE}.remove", "Remove a node group that has no nodes."),
        "rename": (f"{_HERE}.rename", "Give a node group another name."),
        "assign-nodes": (f"{_HERE}.assign_nodes", "Put nodes into a group."),
        "list-fields": (f"{_HERE}.list_fields", "List what can be shown of node groups."),
        "show-ispecs-cmd": (f"{_HERE}.show_ispecs_cmd", "Print commands that would make them."),
        "list-tags": (f"{_HERE}.list_tags", "List tags."),
        "add-tags": (f"{_HERE}.add_tags", "Add tags."),
        "remove-tags": (f"{_HERE}.remove_tags", "Remove tags."),
    },
    doc="Look at node groups, and change them.",
    aliases={"show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
