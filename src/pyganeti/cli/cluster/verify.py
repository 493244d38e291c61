"""The sub-command ``gnt-cluster verify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import completing, following, options, session
from pyganeti.model.opcodes import cluster


@click.command()
@click.option(
    "--error-codes", is_flag=True, help="Tell findings for programs: level:code:kind:item:text."
)
@click.option(
    "-I",
    "--ignore-errors",
    multiple=True,
    metavar="CODE",
    help="Tell findings with this code as warnings; may be given often.",
)
@click.option(
    "--node-group",
    "group",
    metavar="GROUP",
    shell_complete=completing.groups,
    help="Verify this group only, and not the configuration.",
)
@click.option("--no-nplus1-mem", is_flag=True, help="Do not look whether memory suffices.")
@click.option("--verify-ssh-clutter", "clutter", is_flag=True,
              help="Look for several ssh keys of one node, too.")  # fmt: skip
@click.option("--debug-simulate-errors", "simulated", is_flag=True,
              help="Tell what could be found, as if all of it were wrong.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Say which node or instance is looked at.")
@options.job(dry_run=False)
@click.pass_obj
def command(
    current: session.Session,
    *,
    error_codes: bool,
    ignore_errors: tuple[str, ...],
    group: str | None,
    no_nplus1_mem: bool,
    clutter: bool,
    simulated: bool,
    verbose: bool,
    how: options.How,
) -> int:
    """Look whether the cluster is as it should be: configuration, nodes, instances, disks.

    Ends with 1 if anything is wrong; warnings are not counted.
    """
    op = cluster.ClusterVerify(
        error_codes=error_codes,
        ignore_errors=[code for word in ignore_errors for code in word.split(",")],
        group_name=group,
        skip_checks=["nplusone_mem"] if no_nplus1_mem else [],
        verify_clutter=clutter,
        debug_simulate_errors=simulated,
        verbose=verbose,
    )
    results = following.run(current, [op], how)
    if results is None:
        return 0
    verdicts: list[dict[str, Any]] = []
    for is_taken, number in results[0]["jobs"]:
        if not is_taken:
            verdicts.append({"job": None, "result": None, "error": str(number)})
            current.tell(f"{current.program}: a job was not submitted: {number}")
            continue
        verdicts.append(_verdict(current, int(number), how))
    if how.as_json:
        current.out_json(verdicts)
    return 0 if all(one["result"] is True for one in verdicts) else 1


def _verdict(current: session.Session, number: int, how: options.How) -> dict[str, Any]:
    """See one of the jobs to its end."""
    try:
        [result] = following.follow(current, number, "verifying the cluster", quiet=how.as_json)
    except errors.Failure as error:
        current.tell(f"{current.program}: job {number}: {error}")
        return {"job": number, "result": None, "error": str(error)}
    return {"job": number, "result": result, "error": None}
