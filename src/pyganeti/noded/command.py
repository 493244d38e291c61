"""The command ``ganeti-noded``: flags as in Ganeti's manual page."""

import os
from pathlib import Path

import click

import pyganeti
from pyganeti.base import errors, log, paths, services
from pyganeti.metrics import address as addresses
from pyganeti.noded import settings

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_CONTEXT)
@click.version_option(pyganeti.__version__, prog_name=settings.PROGRAM)
@click.option("-f", "--foreground", is_flag=True, help="Do not detach; log to standard error.")
@click.option("-d", "--debug", is_flag=True, help="Log more.")
@click.option(
    "--syslog",
    type=click.Choice(["no", "yes", "only"]),
    is_flag=False,
    flag_value="yes",
    default="no",
    help="Log to syslog as well, or only there.",
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    help="Listen on this port instead of the one in the services database, or 1811.",
)
@click.option("-b", "--bind", metavar="ADDRESS", help="Listen on this address only.")
@click.option("-i", "--interface", help="Listen on this interface's address only.")
@click.option("--no-ssl", is_flag=True, help="No TLS: whoever can connect may do everything.")
@click.option(
    "-K",
    "--ssl-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The cluster's key.",
)
@click.option(
    "-C",
    "--ssl-cert",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The cluster's certificate, which also signs the clients'.",
)
@click.option("--no-mlock", is_flag=True, help="Do not lock the daemon's memory.")
@click.option(
    "--max-clients",
    type=click.IntRange(min=1),
    default=settings.MAX_CLIENTS,
    show_default=True,
    help="How many connections are served at once; more have to wait.",
)
@click.option(
    "--metrics",
    metavar="ADDRESS:PORT|off",
    default=str(addresses.default(addresses.NODED_PORT)),
    show_default=True,
    help="Where Prometheus finds /metrics, over plain HTTP.",
)
def main(  # noqa: PLR0913 - a flag each
    *,
    foreground: bool,
    debug: bool,
    syslog: log.Syslog,
    port: int | None,
    bind: str | None,
    interface: str | None,
    no_ssl: bool,
    ssl_key: Path | None,
    ssl_cert: Path | None,
    no_mlock: bool,
    max_clients: int,
    metrics: str,
) -> None:
    """Do to this node what the cluster's master asks for: instances, disks, networks.

    Stopping it leaves the instances as they are.
    """
    if bind is not None and interface is not None:
        raise click.UsageError("an address and an interface cannot be asked for together")
    try:
        layout = paths.Paths.from_environment(os.environ)
        address = bind or _address(interface, layout)
        figures = addresses.parse(metrics)
    except errors.Failure as error:
        raise click.ClickException(str(error)) from error
    certificate = None if no_ssl else _absolute(ssl_cert) or layout.server_certificate
    key = None if no_ssl else _absolute(ssl_key) or layout.server_certificate
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise click.ClickException(f"{file} is missing: the daemon cannot speak TLS without it")
    take_parts()
    from pyganeti.noded import app

    code = app.run(
        settings.Settings(
            layout=layout,
            bind=address,
            port=services.port(settings.PROGRAM) if port is None else port,
            certificate=certificate,
            key=key,
            mlock=not no_mlock,
            max_clients=max_clients,
            metrics=figures,
            foreground=foreground,
            debug=debug,
            syslog=syslog,
        )
    )
    raise SystemExit(code)


def take_parts() -> bool:
    """Leave out, from here on, what the daemon does not need of its libraries: 12 of 60 megabytes.

    Return whether all of that could be left out.
    """
    from pyganeti.base import parts

    server = ("http_exceptions", "web_protocol", "web_request", "web_response", "web_server")
    # The version stands in an HTTP header alone, where nobody looks for it.
    has_http = parts.take("aiohttp", *server, __version__="")
    return parts.take("pyroute2") and has_http


def _address(interface: str | None, layout: paths.Paths) -> str:
    if interface is None:
        return settings.default_address(layout)
    return settings.address_of(interface, layout)


def _absolute(path: Path | None) -> Path | None:
    """Return the path as it is from anywhere: the daemon leaves the directory it was started in."""
    return None if path is None else Path(os.path.abspath(path))  # noqa: PTH100


if __name__ == "__main__":
    main()
