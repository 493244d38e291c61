"""``gnt-os``: the OS definitions that instances are installed from, and their settings."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.os"

GROUP: Final = groups.LazyGroup(
    "gnt-os",
    {
        "list": (f"{_HERE}.list", "List OS definitions."),
        "diagnose": (f"{_HERE}.diagnose", "Tell where each is, and what is wrong with it."),
        "info": (f"{_HERE}.info", "Tell their parameters and variants."),
        "modify": (f"{_HERE}.modify", "Change what the cluster has for one."),
    },
    doc="Look at the OS definitions that instances are installed from, and change what they get.",
    aliases={"show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
