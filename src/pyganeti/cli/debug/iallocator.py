"""The sub-command ``gnt-debug iallocator``."""

from typing import Any, Final

import click

from pyganeti.cli import following, options, params, session, units
from pyganeti.cli.instance import add
from pyganeti.model.opcodes import testing

_MODES: Final = ("allocate", "multi-allocate", "relocate", "change-group", "node-evacuate",
                 "allocate-secondary")  # fmt: skip
_CARD: Final = ("mac", "ip", "bridge")


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--dir",
    "direction",
    type=click.Choice(["in", "out"]),
    default="in",
    show_default=True,
    help="Show what it is asked, or what it answers.",
)
@click.option("-I", "--iallocator", metavar="NAME", help="Which one: a program, or 'builtin'.")
@click.option(
    "-m",
    "--mode",
    type=click.Choice(_MODES),
    default="relocate",
    show_default=True,
    help="What it is asked for.",
)
@click.option(
    "--memory",
    type=params.AMOUNT,
    default="128",
    show_default=True,
    help="The new instance's memory.",
)
@click.option(
    "--disks", default="4096,4096", show_default=True, metavar="A,B", help="Its disks' sizes."
)
@click.option(
    "-t", "--disk-template", type=click.Choice(add.TEMPLATES), help="How they are stored."
)
@click.option(
    "--nics",
    default="00:11:22:33:44:55",
    show_default=True,
    metavar="MAC/IP/BRIDGE,…",
    help="Its network cards.",
)
@click.option("-o", "--os-type", "os", metavar="OS", help="Its operating system.")
@click.option(
    "-p", "--vcpus", type=click.IntRange(0), default=1, show_default=True, help="Its processors."
)
@click.option("--tags", metavar="A,B", help="Its tags.")
@click.option(
    "--evac-mode",
    type=click.Choice(["all", "primary-only", "secondary-only"]),
    default="all",
    show_default=True,
    help="What is evacuated.",
)
@click.option(
    "--target-groups", "groups", multiple=True, metavar="GROUP", help="Groups to go to. Repeatable."
)
@click.option(
    "--spindle-use",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="How busy its disks are.",
)
@click.option(
    "--count", type=click.IntRange(1), default=2, show_default=True, help="How many instances."
)
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    names: tuple[str, ...],
    disks: str,
    nics: str,
    tags: str | None,
    groups: tuple[str, ...],
    how: options.How,
    **given: Any,  # noqa: ANN401 - what goes into the opcode as it is
) -> int:
    """Show what an allocator would be asked for an instance, or have it answer."""
    results = following.run(
        current,
        [
            testing.TestAllocator(
                name=names[0],
                instances=list(names),
                disks=[
                    {"size": units.mebibytes(size), "mode": "rw"}
                    for size in disks.split(",") if size
                ],
                nics=[_card(card) for card in nics.split(",") if card],
                tags=[tag for tag in (tags or "").split(",") if tag],
                target_groups=list(groups),
                **given,
            )
        ],
        how,
    )  # fmt: skip
    if results is not None and results[0] is not None:
        current.out(str(results[0]))
    return 0


def _card(described: str) -> dict[str, str | None]:
    values = [*described.split("/"), "", ""]
    return {name: value or None for name, value in zip(_CARD, values, strict=False)}
