"""``gnt-network``: look at networks, and change them."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.network"

GROUP: Final = groups.LazyGroup(
    "gnt-network",
    {
        "list": (f"{_HERE}.list", "List networks."),
        "info": (f"{_HERE}.info", "Tell everything about networks."),
        "add": (f"{_HERE}.add", "Add a network."),
        "modify": (f"{_HERE}.modify", "Change a network."),
        "connect": (f"{_HERE}.connect", "Connect a network to node groups."),
        "disconnect": (f"{_HERE}.disconnect", "Disconnect a network from node groups."),
        "remove": (f"{_HERE}.remove", "Remove a network."),
        "list-fields": (f"{_HERE}.list_fields", "List what can be shown of networks."),
        "list-tags": (f"{_HERE}.list_tags", "List tags."),
        "add-tags": (f"{_HERE}.add_tags", "Add tags."),
        "remove-tags": (f"{_HERE}.remove_tags", "Remove tags."),
    },
    doc="Look at networks, and change them.",
    aliases={"show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
