"""What is done with certificates by means of the library for them, which is eight megabytes.

So it is done in a process of its own (`pyganeti.base.apart`), and the library is imported there
alone: a daemon keeps its memory locked. Arguments and answers are what JSON has.
"""

import datetime as dt
from pathlib import Path
from typing import Final

from pyganeti.base import errors, validity

_RENEW: Final = "gnt-cluster renew-crypto --new-node-certificates"


def make(client: str, signer: str, name: str) -> str:
    """Put a new client certificate into its file; return the digest.

    Raises Unavailable if the signer cannot be read or the disk refuses; the old one is then as it
    was.
    """
    from pyganeti.base import certificates  # noqa: PLC0415 - see above

    now = dt.datetime.now(dt.UTC)
    try:
        return certificates.renew_client(Path(client), Path(signer), name, now).digest
    except OSError as error:
        raise errors.Unavailable(f"{error.filename or client}: {error.strerror}") from error


def replace_server(path: str, content: str) -> None:
    """Put another key and certificate of the cluster's into their file.

    One of the certificates that come with it has to be in the file already: so no master cuts a
    node off by mistake. Raises BadInput if that is not so, or it is no key and its certificate,
    Unavailable if the disk refuses; the old ones are then as they were.
    """
    from pyganeti.base import certificates, files, pem  # noqa: PLC0415 - see above

    file = Path(path)
    certificates.load(content.encode())
    try:
        known = pem.certificates(file.read_text(encoding="ascii"))
        if not set(known) & set(pem.certificates(content)):
            raise errors.BadInput(
                "the new certificate comes without the one that the node has: nobody who has that"
                " could reach it"
            )
        files.write_durably(file, content.encode(), 0o600)
    except OSError as error:
        raise errors.Unavailable(f"{error.filename or path}: {error.strerror}") from error


def state(client: str, signer: str, now: float | None = None) -> tuple[str | None, str]:
    """Return what masters want to hear of a client certificate.

    No code and the digest, which they hold against the cluster's map; or a code and words for an
    operator, if it is soon over, over, missing, or not the cluster's. ``now`` is in seconds of the
    epoch.
    """
    from pyganeti.base import certificates  # noqa: PLC0415 - see above

    at = dt.datetime.now(dt.UTC) if now is None else dt.datetime.fromtimestamp(now, dt.UTC)
    try:
        own = certificates.read(Path(client))
        authority = certificates.read(Path(signer))
    except FileNotFoundError as error:
        return (
            validity.ERROR,
            f"{error.filename} does not exist; '{_RENEW}' makes client certificates",
        )
    except OSError as error:
        return validity.ERROR, f"{error.filename} cannot be read: {error.strerror}"
    except errors.BadInput as error:
        return validity.ERROR, f"Failed to load X509 certificate {error}"
    worry = validity.worry(own.begins, own.ends, at)
    if worry is not None:
        return worry[0], f"While verifying {client}: {worry[1]}"
    if own.name == own.issuer:
        return (
            validity.WARNING,
            f"The certificate '{client}' is self-signed; '{_RENEW}' makes proper ones",
        )
    if not certificates.is_signed_by(own, authority):
        return (
            validity.ERROR,
            f"The cluster has not signed '{client}'; '{_RENEW}' makes proper ones",
        )
    return None, own.digest
