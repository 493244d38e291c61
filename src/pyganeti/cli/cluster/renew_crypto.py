"""The sub-command ``gnt-cluster renew-crypto``."""

import datetime as dt
from pathlib import Path

import click

from pyganeti.base import errors
from pyganeti.cli import asking, following, options, session
from pyganeti.cli.bootstrap import renewing
from pyganeti.model.opcodes import base, cluster

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_QUESTION = (
    "New keys and certificates for the cluster: what knows the old ones is shut out. Continue?"
)


@click.command()
@click.option("--new-cluster-certificate", is_flag=True, help="The one all nodes speak with.")
@click.option("--new-node-certificates", is_flag=True, help="The ones that nodes call with.")
@click.option("--new-rapi-certificate", is_flag=True, help="The remote API's.")
@click.option("--rapi-certificate", type=_FILE, help="Take this one for the remote API.")
@click.option("--new-spice-certificate", is_flag=True, help="The one of SPICE consoles.")
@click.option("--spice-certificate", type=_FILE, help="Take this one for SPICE consoles.")
@click.option("--spice-ca-certificate", type=_FILE, help="Who signed it.")
@click.option("--new-confd-hmac-key", is_flag=True, help="The key of confd's answers.")
@click.option(
    "--new-cluster-domain-secret", is_flag=True, help="The one of moves between clusters."
)
@click.option("--cluster-domain-secret", type=_FILE, help="Take this one.")
@options.force
@options.job(dry_run=False)
@click.pass_obj
def command(
    current: session.Session,
    *,
    new_cluster_certificate: bool,
    new_node_certificates: bool,
    new_rapi_certificate: bool,
    rapi_certificate: Path | None,
    new_spice_certificate: bool,
    spice_certificate: Path | None,
    spice_ca_certificate: Path | None,
    new_confd_hmac_key: bool,
    new_cluster_domain_secret: bool,
    cluster_domain_secret: Path | None,
    force: bool,
    how: options.How,
) -> int:
    """Renew the cluster's certificates, keys and secrets, those that are named.

    No daemon ends and no instance notices. What was cut off goes on when it is done again.
    """
    for new, given, word in (
        (new_rapi_certificate, rapi_certificate, "rapi-certificate"),
        (new_spice_certificate, spice_certificate or spice_ca_certificate, "spice-certificate"),
        (new_cluster_domain_secret, cluster_domain_secret, "cluster-domain-secret"),
    ):
        if new and given:
            raise errors.BadInput(f"--new-{word} makes one, and --{word} takes one: not both")
    if (spice_certificate is None) != (spice_ca_certificate is None):
        raise errors.BadInput("--spice-certificate and --spice-ca-certificate go together")
    [name] = current.client.query_config_values(["cluster_name"])
    contents = renewing.contents(
        str(name),
        dt.datetime.now(dt.UTC),
        rapi=new_rapi_certificate,
        rapi_from=rapi_certificate,
        spice=new_spice_certificate,
        spice_from=spice_certificate,
        spice_ca_from=spice_ca_certificate,
        hmac=new_confd_hmac_key,
        domain_secret=new_cluster_domain_secret,
        domain_secret_from=cluster_domain_secret,
    )
    nodes = new_cluster_certificate or new_node_certificates
    if not contents and not nodes:
        raise errors.BadInput("say what to renew; see gnt-cluster renew-crypto --help")
    asking.confirm(current, _QUESTION, force=force)
    opcodes: list[base.Opcode] = []
    if contents:
        renewing.write(current.layout, contents)
        opcodes.append(cluster.ClusterRedistConf())
    if new_cluster_certificate and renewing.prepare_server(
        current.layout, str(name), dt.datetime.now(dt.UTC)
    ):
        current.tell("a renewal of the cluster's certificate was cut off; it goes on now")
    if nodes:
        opcodes.append(cluster.ClusterRenewCrypto(node_certificates=True))
    following.do(current, opcodes, how)
    return 0
