"""What one transfer is to do: written by the node daemon, read once by the transfer's process.

It goes through a file in memory, for a script's environment may hold secrets.
"""

import re
from typing import Final, Literal, TypeAlias

import msgspec

from pyganeti.base import errors

VERSION: Final = 1

Mode: TypeAlias = Literal["import", "export"]

MIB: Final = 1024 * 1024

CONNECT_PATIENCE: Final = 60.0
"""Seconds that an import waits for its peer unless the master says otherwise."""

ATTEMPT_PATIENCE: Final = 20.0
ATTEMPTS: Final = 11
"""An export's first attempt to connect and its repetitions, a second apart."""

_MAGIC: Final = re.compile(r"[-_.a-zA-Z0-9]{5,100}")
_TOOL: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = "none"
_DEFAULT: Final = "gzip"
_PACKING: Final[dict[str, tuple[list[str], list[str]]]] = {
    "gzip": (["gzip", "-1", "-c"], ["gzip", "-d", "-c"]),
    "gzip-fast": (["gzip", "-1", "-c"], ["gzip", "-d", "-c"]),
    "gzip-slow": (["gzip", "-c"], ["gzip", "-d", "-c"]),
    "lzop": (["lzop", "-c"], ["lzop", "-d", "-c"]),
}


class File(msgspec.Struct, frozen=True, tag="file"):
    """A file below the exports, open as ``descriptor``."""

    descriptor: int


class Disk(msgspec.Struct, frozen=True, tag="disk"):
    """A disk: by a name that tools open, with the descriptors that the name needs.

    ``size`` is what the configuration says, in MiB.
    """

    name: str
    format: str
    size: int
    descriptors: tuple[int, ...] = ()
    is_direct: bool = False


class Script(msgspec.Struct, frozen=True, tag="script"):
    """A script of an OS definition, run in its folder."""

    program: str
    folder: str
    environment: dict[str, str]


End: TypeAlias = File | Disk | Script


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer."""

    mode: Mode
    folder: str
    """The transfer's own, with the authority's certificate in it."""

    log: str
    key: str
    certificate: str
    authority: str
    end: End
    """Where the data comes from, or goes to."""

    expected: int | None = None
    """MiB, as far as that is known."""

    pack: list[str] = []
    """The program that packs or unpacks, none if the data travels as it is."""

    magic: str | None = None
    family: Literal["ipv4", "ipv6"] = "ipv4"
    is_alone: bool = False
    """Whether an import listens for this machine alone."""

    host: str = ""
    port: int = 0
    patience: float = CONNECT_PATIENCE
    version: int = VERSION


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a master says about how to transfer."""

    key_name: str | None = None
    ca_pem: str | None = None
    compress: str | None = None
    magic: str | None = None
    ipv6: bool | None = None
    connect_timeout: float | None = None

    def check(self) -> None:
        """Raise BadInput if these options make no sense."""
        if (self.key_name is None) != (self.ca_pem is None):
            raise errors.BadInput(
                "a key of its own and the peer's certificate go together: give both, or none for"
                " the cluster's"
            )
        if self.magic is not None and not _MAGIC.fullmatch(self.magic):
            raise errors.BadInput(f"{self.magic!r} is no magic: 5 to 100 letters, digits and -_.")
        if self.connect_timeout is not None and not 0 < self.connect_timeout < 24 * 3600:
            raise errors.BadInput(f"nobody waits {self.connect_timeout} s for a peer")


def descriptors_of(end: End) -> tuple[int, ...]:
    """Return the descriptors that an end needs handed down."""
    match end:
        case File(fd):
            return (fd,)
        case Disk():
            return end.descriptors
        case Script():
            return ()


def packing(asked: str | None, mode: Mode) -> list[str]:
    """Return the program for a kind of compression, as Ganeti would call it; empty for none.

    Raises BadInput if that cannot be a program's name.
    """
    kind = asked or _DEFAULT
    if kind == _PLAIN:
        return []
    if not _TOOL.fullmatch(kind):
        raise errors.BadInput(f"{kind!r} is not a compression tool")
    packed, unpacked = _PACKING.get(kind, ([kind], [kind, "-d"]))
    return packed if mode == "export" else unpacked


def encode(job: Job) -> bytes:
    """Return a job as bytes."""
    return msgspec.json.encode(job)


def decode(data: bytes) -> Job:
    """Return the job; raises Damaged if these bytes are none of ours."""
    try:
        job = msgspec.json.decode(data, type=Job)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"not a transfer's job: {error}") from error
    if job.version != VERSION:
        raise errors.Damaged(f"a transfer's job of version {job.version}, not {VERSION}")
    return job
