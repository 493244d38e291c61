"""The sub-command ``gnt-instance reinstall``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, following, options, params, session
from pyganeti.cli.instance import acting, choosing
from pyganeti.model.opcodes import instance, query


@click.command()
@choosing.options
@options.force
@click.option(
    "-o",
    "--os-type",
    metavar="OS",
    shell_complete=completing.oses,
    help="Another operating system than it has.",
)
@click.option("--select-os", is_flag=True, help="Show which there are, and ask.")
@click.option("--force-variant", is_flag=True, help="Take a variant that the OS does not have.")
@click.option(
    "-O", "--os-parameters", "osparams", type=params.SETTINGS, help="What its OS is to know."
)
@click.option(
    "--os-parameters-private",
    "osparams_private",
    type=params.SETTINGS,
    help="Likewise, kept but shown to nobody.",
)
@click.option(
    "--os-parameters-secret",
    "osparams_secret",
    type=params.SETTINGS,
    help="Likewise, not even kept.",
)
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    words: tuple[str, ...],
    way: str | None,
    force_multi: bool,
    force: bool,
    os_type: str | None,
    select_os: bool,
    force_variant: bool,
    osparams: dict[str, Any] | None,
    osparams_private: dict[str, Any] | None,
    osparams_secret: dict[str, Any] | None,
    how: options.How,
) -> int:
    """Put an operating system on instances again; what is on their disks is lost."""
    if select_os:
        os_type = _selected(current)
    names = choosing.chosen(current, words, way, verb="reinstall", force_multi=True)
    system = "keep the same OS" if os_type is None else f"change the OS to '{os_type}'"
    several = len(names) > 1
    asking.confirm(
        current,
        f"This will reinstall {', '.join(names)} (and {system}), which removes all data. Continue?",
        force=force_multi or (force and not several) or how.dry_run,
        option="--force-multiple" if several else "-f",
    )

    def make(name: str) -> instance.InstanceReinstall:
        return instance.InstanceReinstall(
            instance_name=name,
            os_type=os_type,
            force_variant=force_variant,
            osparams=osparams,
            osparams_private=osparams_private,
            osparams_secret=osparams_secret,
        )

    return acting.on_each(current, names, make, how)


def _selected(current: session.Session) -> str:
    """Return the OS that a person chooses of those that every node has."""
    opcode = query.OsDiagnose(output_fields=["name", "variants"])
    results = following.run(current, [opcode], options.How(as_json=True))
    names: list[str] = []
    for name, variants in results[0] if results else ():
        names += [f"{name}+{variant}" for variant in variants or ()] or [name]
    if not names:
        raise errors.BadInput("there is no OS definition that every node has in order")
    for number, name in enumerate(names):
        current.tell(f"{number:3}: {name}")
    chosen: int = click.prompt("Which one", type=click.IntRange(0, len(names) - 1), err=True)
    return names[chosen]
