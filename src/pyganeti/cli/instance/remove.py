"""The sub-command ``gnt-instance remove``."""

import click

from pyganeti.cli import asking, completing, following, options, params, session
from pyganeti.cli.instance import choosing
from pyganeti.model.opcodes import instance


@click.command()
@click.argument("name", shell_complete=completing.instances)
@click.option(
    "--shutdown-timeout",
    "--timeout",
    "timeout",
    type=params.TIME,
    default="120",
    show_default=True,
    help="How long it may take to power down by itself.",
)
@click.option(
    "--ignore-failures", is_flag=True, help="Forget it even if it or its disks cannot be removed."
)
@options.force
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    timeout: int,
    ignore_failures: bool,
    force: bool,
    how: options.How,
) -> int:
    """Shut an instance down and remove it, with all that is on its disks."""
    [name] = choosing.known(current, [name])
    question = f"This will remove instance {name} and all that is on its disks. Continue?"
    asking.confirm(current, question, force=force or how.dry_run)
    following.do(
        current,
        [
            instance.InstanceRemove(
                instance_name=name, shutdown_timeout=timeout, ignore_failures=ignore_failures
            )
        ],
        how,
    )
    return 0
