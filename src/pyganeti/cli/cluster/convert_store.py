"""The sub-command ``gnt-cluster convert-store``."""

import os
import time
from pathlib import Path
from typing import Final

import click

from pyganeti.base import daemons, errors
from pyganeti.cli import asking, session
from pyganeti.cli.bootstrap import starting, storing

_PAUSE: Final = 0.2
_STATES: Final = ("queued", "waiting", "running", "canceling")
_UNENDED: Final = ["|", *(["=", "status", word] for word in _STATES)]
_OTHERS: Final = ["&", ["?", "master_candidate"], ["!", ["|", ["?", "master"], ["?", "offline"]]]]
_STANDING: Final = 30.0
"""Seconds in which candidates that are there stand by."""


def tls_options(command: "click.decorators.FC") -> "click.decorators.FC":
    """Add the options that say how an etcd is reached."""
    for option in (
        click.option("--etcd-prefix", metavar="KEY", help="What its keys begin with there."),
        click.option("--etcd-tls-key", type=_FILE, help="The key of that."),
        click.option("--etcd-tls-cert", type=_FILE, help="What to show, if etcd wants that."),
        click.option("--etcd-tls-ca", type=_FILE, help="Whose certificates etcd's members have."),
        click.option(
            "--etcd-endpoints",
            metavar="LIST",
            default="",
            help="Its members, such as https://etcd1:2379,https://etcd2:2379.",
        ),
    ):
        command = option(command)
    return command


_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("to", type=click.Choice(["files", "etcd"]))
@tls_options
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=3600.0,
    show_default=True,
    help="Seconds to wait for jobs to end.",
)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(
    current: session.Session,
    *,
    to: str,
    etcd_endpoints: str,
    etcd_tls_ca: Path | None,
    etcd_tls_cert: Path | None,
    etcd_tls_key: Path | None,
    etcd_prefix: str | None,
    timeout: float,
    force: bool,
) -> int:
    """Keep the cluster in etcd from now on, or in files again; instances go on.

    It is run on the master. No new jobs are taken meanwhile, and those that there are end first;
    what was interrupted is finished by doing it again.
    """
    if os.geteuid() != 0:
        raise errors.Denied("a cluster is moved by root")
    layout = current.layout
    is_there = storing.is_moved(layout)
    if is_there == (to == "etcd"):
        current.out(f"the cluster is kept in {to} already")
        return 0
    client = current.client
    name, drained, master = client.query_config_values(
        ["cluster_name", "drain_flag", "master_node"]
    )
    if master != layout.hostname:
        raise errors.BadInput(f"this is done on the master, {master}", "wrong_state")
    target = None
    certificates: dict[str, Path | None] = {}
    if to == "etcd":
        certificates = {"authority": etcd_tls_ca, "certificate": etcd_tls_cert, "key": etcd_tls_key}
        target = storing.wanted(name, _words(etcd_endpoints), etcd_prefix, **certificates)
    asking.confirm(
        current,
        f"The cluster {name} will be kept in {to}. It takes no commands for some seconds, once its"
        " jobs have ended. Continue?",
        force=force,
    )
    if target is not None:
        storing.copy_certificates(layout, **certificates)
    client.set_drain(is_drained=True)
    try:
        _wait(current, timeout)
        current.tell(f"moving the cluster to {to}; the master daemon rests meanwhile")
        current.close()
        try:
            storing.move(target, current.tell)
        finally:
            if daemons.running(layout, storing.MASTERD) is None:
                starting.start(layout, storing.MASTERD)
    finally:
        if not drained:
            current.client.set_drain(is_drained=False)
    if to == "etcd" and (missing := _wait_standbys(current)):
        current.tell(
            f"warning: {', '.join(missing)} could not be told yet, which is tried again: until"
            " gnt-cluster info says that they stand by, make none of them the master"
        )
    current.out(f"the cluster is kept in {to}; gnt-cluster verify says whether all is well")
    return 0


def _wait(current: session.Session, timeout: float) -> None:
    """Wait until no job is under way; raises Unavailable if that takes too long."""
    deadline = time.monotonic() + timeout
    told = 0
    while True:
        left = current.client.query("job", ["id"], _UNENDED)["data"]
        if not left:
            return
        if time.monotonic() > deadline:
            raise errors.Unavailable(f"{len(left)} jobs have not ended after {timeout:g} s")
        if len(left) != told:
            told = len(left)
            current.tell(f"waiting for {told} jobs to end")
        time.sleep(_PAUSE)


def _wait_standbys(current: session.Session) -> list[str]:
    """Wait for a while until all other candidates stand by; return the names of those that do not.

    One that was not told still has the files of before, and could be made a master of these.
    """
    deadline = time.monotonic() + _STANDING
    while True:
        nodes = current.client.query("node", ["name"], _OTHERS)["data"]
        wanted = {name for [[_, name]] in nodes}
        found = current.client.query_cluster_info().get("leadership") or {}
        missing = sorted(wanted - set(found.get("standbys", ())))
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(_PAUSE)


def _words(said: str) -> list[str]:
    return [word.strip() for word in said.split(",") if word.strip()]
