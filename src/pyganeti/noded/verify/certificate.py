"""The state of this node's own certificate: good, soon over, over, missing, or not the cluster's.

Answered as Ganeti's masters want it: no code and the digest, which they hold against the cluster's
map, or a code and words for an operator.
"""

import datetime as dt
from typing import Final

from pyganeti.base import errors, paths

_ERROR: Final = "ERROR"
_WARNING: Final = "WARNING"
_ERROR_DAYS: Final = 7
_WARNING_DAYS: Final = 30
_RENEW: Final = "gnt-cluster renew-crypto --new-node-certificates"


def state(layout: paths.Paths, now: dt.datetime) -> tuple[str | None, str]:
    """Return a code and words, or None and the digest; ``now`` is aware. Blocks."""
    from pyganeti.base import certificates  # noqa: PLC0415 - eight megabytes, asked for once a day

    path = layout.client_certificate
    try:
        own = certificates.read(path)
        signer = certificates.read(layout.server_certificate)
    except FileNotFoundError as error:
        return _ERROR, f"{error.filename} does not exist; '{_RENEW}' makes client certificates"
    except OSError as error:
        return _ERROR, f"{error.filename} cannot be read: {error.strerror}"
    except errors.BadInput as error:
        return _ERROR, f"Failed to load X509 certificate {error}"
    worry = of_dates(own.begins, own.ends, now)
    if worry is not None:
        return worry[0], f"While verifying {path}: {worry[1]}"
    if own.name == own.issuer:
        return _WARNING, f"The certificate '{path}' is self-signed; '{_RENEW}' makes proper ones"
    if not certificates.is_signed_by(own, signer):
        return _ERROR, f"The cluster has not signed '{path}'; '{_RENEW}' makes proper ones"
    return None, own.digest


def of_dates(begins: dt.datetime, ends: dt.datetime, now: dt.datetime) -> tuple[str, str] | None:
    """Return what an operator has to know about a certificate that is good for so long."""
    if now >= ends:
        return _ERROR, f"Certificate is expired (valid from {begins} to {ends})"
    if now < begins:
        return _WARNING, f"Certificate not yet valid (valid from {begins})"
    days = (ends - now).days
    if days > _WARNING_DAYS:
        return None
    code = _ERROR if days <= _ERROR_DAYS else _WARNING
    return code, f"Certificate expires in about {days} days"
