"""Making this machine a node of a cluster that takes it in: all of it, or nothing.

The cluster's name is written last of the files: a machine that has one is in a cluster, and one
that was cut off before joins as if for the first time. It may join its own cluster again, to get
what it has missed or lost; then nothing is taken away from it when a step fails.
"""

import datetime as dt
from collections.abc import Callable
from typing import Final

from pyganeti.base import certificates, daemons, errors, files, paths, ssconf
from pyganeti.cli.bootstrap import founding, starting, undoing
from pyganeti.wire import joining, noderpc

_NODED: Final = "ganeti-noded"
_MASTERD: Final = "ganeti-masterd"
_NAME: Final = "cluster_name"
_MODE: Final = 0o600

Tell = Callable[[str], None]


def check(layout: paths.Paths, bundle: joining.Bundle) -> None:
    """Raise BadInput if this machine cannot be what the bundle makes of it."""
    if bundle.protocol != noderpc.PROTOCOL:
        raise errors.BadInput(
            f"the cluster's node protocol is {bundle.protocol}, and here it is"
            f" {noderpc.PROTOCOL}: install the same version on both",
            "environment_error",
        )
    if bundle.node_name != layout.hostname:
        raise errors.BadInput(
            f"this machine calls itself {layout.hostname}, not {bundle.node_name}: add it by that"
            " name, or give it the other (hostnamectl)",
            "environment_error",
        )
    own = _cluster_of(layout)
    if own and own != bundle.cluster_name:
        raise errors.BadInput(
            f"this machine is in the cluster {own}; it leaves that with gnt-node remove there, or"
            f" by removing what lies in {layout.state_dir}",
            "already_exists",
        )
    if daemons.running(layout, _MASTERD) is not None:
        raise errors.BadInput("this machine is the cluster's master", "wrong_state")
    try:
        signer = certificates.load(bundle.server_pem.encode())
    except errors.BadInput as error:
        raise errors.BadInput(
            f"the cluster's certificate that was sent is none: {error}"
        ) from error
    if signer.ends <= dt.datetime.now(dt.UTC):
        raise errors.BadInput(
            "the cluster's certificate is over by this machine's clock: set the clock, or have"
            " gnt-cluster renew-crypto make a new one",
            "environment_error",
        )


def join(layout: paths.Paths, bundle: joining.Bundle, *, say: Tell, warn: Tell) -> None:
    """Make this machine a node, and start its node daemon; `check` says whether it can be one.

    Its own certificate is made here, so that its key goes nowhere. Raises Failure or OSError; if it
    was no node before it is none then.
    """
    check(layout, bundle)
    is_new = not _cluster_of(layout)
    own = certificates.make_client(
        bundle.server_pem.encode(), bundle.node_name, dt.datetime.now(dt.UTC)
    )
    settings = dict(bundle.settings)
    settings[_NAME] = bundle.cluster_name
    with undoing.undoing(warn) as steps:
        starting.stop(layout, _NODED)
        say("writing keys, certificates and settings")
        founding.make_directories(layout, bundle.storage)
        if is_new:
            # What was promised to masters of another cluster is nothing to this one's.
            layout.epoch_file.unlink(missing_ok=True)
            steps.add("remove what was written", lambda: founding.remove(layout))
        files.write_durably(layout.server_certificate, bundle.server_pem.encode(), _MODE)
        files.write_durably(layout.client_certificate, own.pem, _MODE)
        allowed = founding.allow_storage(layout, bundle.storage)
        if allowed is not None:
            steps.add(f"remove {allowed}", lambda: allowed.unlink(missing_ok=True))
        ssconf.write(layout, {name: text for name, text in settings.items() if name != _NAME})
        ssconf.write(layout, {_NAME: settings[_NAME]})
        say(f"starting {_NODED}")
        if is_new:
            steps.add(f"end {_NODED}", starting.ending(layout, _NODED))
        starting.start(layout, _NODED)


def _cluster_of(layout: paths.Paths) -> str:
    return (ssconf.read(layout, _NAME) or "").strip()
