"""The sub-command ``gnt-cluster version``."""

import click

from pyganeti.cli import details, session

_SHOWN = {
    "Software version": "software_version",
    "Internode protocol": "protocol_version",
    "Configuration format": "config_version",
    "OS api version": "os_api_version",
    "Export interface": "export_version",
    "VCS version": "vcs_version",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(current: session.Session, *, as_json: bool) -> None:
    """Print the versions of the cluster's software, protocols and files."""
    info = current.client.query_cluster_info()
    if as_json:
        current.out_json({key: info[key] for key in _SHOWN.values()})
        return
    for line in details.lines([(title, info[key]) for title, key in _SHOWN.items()]):
        current.out(line)
