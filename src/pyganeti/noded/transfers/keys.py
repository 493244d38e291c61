"""Keys for transfers between clusters: one a transfer, made here, and the key never leaves.

``crypto/x509-…/{key,cert}`` below the run directory, as Ganeti has them (its cleaner removes those
that have expired). The certificate is made out to the name that Ganeti's own exports, through
socat, look for in every certificate; the machine's name is an alternative one.

The library that makes them is large: `make` is called in a process of its own (`base.apart`), so
its arguments and answers are what JSON has.
"""

import contextlib
import datetime as dt
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files
from pyganeti.noded.transfers import places

LONGEST: Final = 7 * 24 * 3600
"""Seconds that such a certificate is good for at most."""

_MODE: Final = 0o400
_FOLDER_MODE: Final = 0o700


def key_of(place: Path, name: str) -> tuple[Path, Path]:
    """Return where a key and its certificate are; raises BadInput for what is no name."""
    if not places.is_part(name):
        raise errors.BadInput(f"{name!r} is not the name of a key")
    return place / name / "key", place / name / "cert"


def make(place: str, validity: int) -> list[str]:
    """Make a key and its certificate; return their name and the certificate as PEM. Takes 0.1 s.

    Raises BadInput for a time that makes no sense, Unavailable if they cannot be written.
    """
    if validity <= 0:
        raise errors.BadInput(f"a certificate cannot be good for {validity} s")
    from pyganeti.base import certificates  # noqa: PLC0415 - see above

    made = certificates.make_server(
        dt.datetime.now(dt.UTC),
        name=certificates.COMMON_NAME,
        days=min(validity, LONGEST) / (24 * 3600),
        also=socket.gethostname(),
    )
    key, certificate = certificates.halves(made)
    try:
        files.make_directories(Path(place), _FOLDER_MODE)
        folder = Path(tempfile.mkdtemp(prefix=f"x509-{places.stamp()}-", dir=place))
        try:
            files.write_durably(folder / "key", key, _MODE)
            files.write_durably(folder / "cert", certificate, _MODE)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise errors.Unavailable(f"a key cannot be written below {place}: {error}") from error
    return [folder.name, certificate.decode("ascii")]


def remove(place: Path, name: str) -> None:
    """Remove a key and its certificate; raises Unavailable if there are none or others' files."""
    key, certificate = key_of(place, name)
    with contextlib.suppress(FileNotFoundError):
        key.unlink()
    with contextlib.suppress(FileNotFoundError):
        certificate.unlink()
    try:
        key.parent.rmdir()
    except OSError as error:
        raise errors.Unavailable(
            f"Cannot remove certificate directory '{key.parent}': {error.strerror}"
        ) from error
