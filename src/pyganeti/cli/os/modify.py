"""The sub-command ``gnt-os modify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import following, options, params, session
from pyganeti.model.config import defaults
from pyganeti.model.opcodes import cluster

_ADD = "add"
_REMOVE = "remove"


@click.command()
@click.argument("name")
@click.option(
    "-H",
    "--hypervisor-parameters",
    "hvparams",
    type=params.IDENTIFIED,
    multiple=True,
    metavar="kvm:acpi=no,…",
    help="What instances with this OS have unless they say otherwise.",
)
@click.option(
    "-O",
    "--os-parameters",
    "osparams",
    type=params.SETTINGS,
    help="What this OS is told, unless its instance says otherwise.",
)
@click.option(
    "--os-parameters-private",
    "osparams_private",
    type=params.SETTINGS,
    help="Likewise, shown to nobody.",
)
@click.option(
    "--hidden",
    type=bool,
    metavar="yes|no",
    help="Whether it is left out where OS definitions are listed.",
)
@click.option("--blacklisted", type=bool, metavar="yes|no", help="Whether nobody may install it.")
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    *,
    name: str,
    hvparams: tuple[tuple[str, dict[str, Any]], ...],
    osparams: dict[str, Any] | None,
    osparams_private: dict[str, Any] | None,
    hidden: bool | None,
    blacklisted: bool | None,
    how: options.How,
) -> None:
    """Change what the cluster has for an OS, or for one of its variants: debian+trixie."""
    own = params.by_name(hvparams, defaults.HYPERVISORS, "hypervisor")
    if not (own or osparams or osparams_private) and hidden is None and blacklisted is None:
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    op = cluster.ClusterSetParams(
        os_hvp={name: own} if own else None,
        osparams={name: osparams} if osparams else None,
        osparams_private_cluster={name: osparams_private} if osparams_private else None,
        hidden_os=_listed(hidden, name),
        blacklisted_os=_listed(blacklisted, name),
    )
    following.do(current, [op], how)


def _listed(wanted: bool | None, name: str) -> list[tuple[str, str]] | None:  # noqa: FBT001 - ours alone
    return None if wanted is None else [(_ADD if wanted else _REMOVE, name)]
