"""Whether certificates are still good, or for how long, as operators have to know it."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import errors

ERROR: Final = "ERROR"
WARNING: Final = "WARNING"
_ERROR_DAYS: Final = 7
_WARNING_DAYS: Final = 30


def worry(begins: dt.datetime, ends: dt.datetime, now: dt.datetime) -> tuple[str, str] | None:
    """Return how bad it is and what an operator has to know about a certificate good for so long.

    None if that is nothing.
    """
    if now >= ends:
        return ERROR, f"Certificate is expired (valid from {begins} to {ends})"
    if now < begins:
        return WARNING, f"Certificate not yet valid (valid from {begins})"
    days = (ends - now).days
    if days > _WARNING_DAYS:
        return None
    code = ERROR if days <= _ERROR_DAYS else WARNING
    return code, f"Certificate expires in about {days} days"


def worries(files: Sequence[str], now: float) -> list[tuple[str, str]]:
    """Return what an operator has to know about the certificates in files, ``now`` in seconds.

    Imports the library for certificates: to be called by `base.apart` where memory counts.
    """
    from pyganeti.base import certificates  # noqa: PLC0415 - see above

    at = dt.datetime.fromtimestamp(now, dt.UTC)
    found = []
    for name in files:
        try:
            begins, ends = certificates.validity(Path(name))
        except OSError as error:
            found.append((ERROR, f"Failed to load X509 certificate {name}: {error.strerror}"))
            continue
        except errors.BadInput as error:
            found.append((ERROR, f"Failed to load X509 certificate {error}"))
            continue
        if (what := worry(begins, ends, at)) is not None:
            found.append((what[0], f"While verifying {name}: {what[1]}"))
    return found
