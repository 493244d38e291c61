"""The sub-command ``gnt-instance batch-create``."""

from pathlib import Path
from typing import Any

import click
import msgspec

from pyganeti.base import errors
from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import instance


@click.command("batch-create")
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option(
    "-I", "--iallocator", metavar="NAME", help="What chooses the nodes: a program, or 'builtin'."
)
@options.job()
@click.pass_obj
def command(
    current: session.Session, *, file: Path, iallocator: str | None, how: options.How
) -> int:
    """Create instances that a file describes, placed all at once and made at once.

    The file has a JSON list with an object an instance, with the fields of the opcode that creates
    one: instance_name, disk_template, disks, nics, os_type, beparams, hvparams, tags, … A dash
    reads it from what is piped in.
    """
    described = _read(file)
    opcode = instance.InstanceMultiAlloc(instances=described, iallocator=iallocator)
    results = following.run(current, [opcode], how)
    if results is None:
        return 0
    [result] = results
    if how.as_json:
        current.out_json(result)
    for name in result["failed"]:
        current.tell(f"{name}: there is no node for it")
    failed = len(result["failed"])
    for name, job in zip(result["allocatable"], result["jobs"], strict=False):
        failed += not _follow(current, name, job, quiet=how.as_json)
    if not how.dry_run:
        count = len(described) - failed
        current.tell(f"{count} of {len(described)} instances were created")
    return 1 if failed else 0


def _follow(current: session.Session, name: str, job: list[Any], *, quiet: bool) -> bool:
    """See an instance's job to its end; return whether it went well."""
    is_taken, number = job
    if not is_taken:
        current.tell(f"{name}: not submitted: {number}")
        return False
    try:
        following.follow(current, int(number), name, quiet=quiet)
    except errors.Failure as error:
        current.tell(f"{name}: {error}")
        return False
    return True


def _read(file: Path) -> list[dict[str, Any]]:
    """Return what a file describes; raises BadInput for what cannot be opcodes."""
    with click.open_file(str(file), "rb") as opened:
        content = opened.read()
    try:
        found = msgspec.json.decode(content, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise errors.BadInput(f"{file} is no JSON list of objects: {error}") from error
    known = set(instance.InstanceCreate.__struct_fields__) | {"OP_ID"}
    for place, one in enumerate(found):
        if strange := sorted(set(one) - known):
            raise errors.BadInput(f"Unknown fields in definition {place}: {', '.join(strange)}")
        one.setdefault("mode", "create")
        one.setdefault("nics", [{}])
    return found
