"""The sub-command ``gnt-debug submit-job``."""

import pathlib
import time
from typing import Any

import click
import msgspec

from pyganeti.base import errors
from pyganeti.cli import following, session
from pyganeti.model.opcodes import table


@click.command("submit-job")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--op-repeat", type=click.IntRange(1), default=1, help="Take each opcode so often.")
@click.option("--job-repeat", type=click.IntRange(1), default=1, help="Submit each job so often.")
@click.option("--each", is_flag=True, help="Submit jobs one by one instead of all at once.")
@click.option("--timing-stats", is_flag=True, help="Say how long it took.")
@click.pass_obj
def command(
    current: session.Session,
    *,
    files: tuple[str, ...],
    op_repeat: int,
    job_repeat: int,
    each: bool,
    timing_stats: bool,
) -> int:
    """Submit jobs from files that have each a JSON list of opcodes, and wait for them."""
    jobs = []
    for name in files:
        opcodes = [opcode for opcode in _read(current, name) for _ in range(op_repeat)]
        jobs += [opcodes] * job_repeat
    began = time.monotonic()
    if each:
        taken: list[tuple[bool, int | str]] = [(True, current.client.submit(job)) for job in jobs]
    else:
        taken = current.client.submit_many(jobs)
    submitted = time.monotonic()
    failed = 0
    for is_taken, number in taken:
        if not is_taken:
            failed += 1
            current.tell(f"{current.program}: not submitted: {number}")
            continue
        try:
            following.follow(current, int(number), "from a file")
        except errors.Failure as error:
            failed += 1
            current.tell(f"job {number}: {error}")
    if timing_stats:
        ended = time.monotonic()
        current.out(f"Jobs: {len(jobs)}")
        current.out(f"Submitted in: {submitted - began:.3f} s")
        current.out(f"Done in: {ended - submitted:.3f} s")
    return 1 if failed else 0


def _read(current: session.Session, name: str) -> list[dict[str, Any]]:
    """Return the opcodes in a file, checked, with a reason; raises BadInput."""
    try:
        opcodes = msgspec.json.decode(pathlib.Path(name).read_bytes(), type=list[dict[str, Any]])
    except (OSError, msgspec.DecodeError) as error:
        raise errors.BadInput(f"{name}: no list of opcodes: {error}") from error
    trail = current.trail(None)
    return [
        table.to_wire(table.parse({**opcode, "reason": opcode.get("reason") or trail}))
        for opcode in opcodes
    ]
