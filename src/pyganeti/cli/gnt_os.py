"""``gnt-os``: look at the OS definitions that instances are installed from."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.os"

GROUP: Final = groups.LazyGroup(
    "gnt-os",
    {
        "list": (f"{_HERE}.list", "List OS definitions."),
        "diagnose": (f"{_HERE}.diagnose", "Tell where each is, and what is wrong with it."),
        "info": (f"{_HERE}.info", "Tell their parameters and variants."),
    },
    doc="Look at the OS definitions that instances are installed from.",
    aliases={"show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
