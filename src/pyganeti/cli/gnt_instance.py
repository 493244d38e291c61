"""``gnt-instance``: make, start, stop, move and change instances, and look at them."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.instance"

GROUP: Final = groups.LazyGroup(
    "gnt-instance",
    {
        "list": (f"{_HERE}.list", "List instances and how they are."),
        "startup": (f"{_HERE}.startup", "Start instances."),
        "shutdown": (f"{_HERE}.shutdown", "Shut instances down."),
        "reboot": (f"{_HERE}.reboot", "Reboot instances."),
        "list-fields": (f"{_HERE}.list_fields", "List what can be shown of instances."),
    },
    doc="Make, start, stop, move and change instances, and look at them.",
    aliases={"start": "startup", "stop": "shutdown", "show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
