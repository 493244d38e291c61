"""The runtime file: how an instance was started, in Ganeti's own form, and what goes along with it.

One JSON array: the command's first part, the NICs and the hypervisor parameters as they were, and
the disks, each with its link and address; devices carry their place as ``hvinfo``. It is also what
the target of a migration is given. Ganeti's files can be read (numbers among the words; no disks
in very old ones), and it can read ours. Whatever else is not of the form raises `errors.Damaged`.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import places

LARGEST: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk as it was when the instance started; ``about`` is its description with ``hvinfo``."""

    about: Mapping[str, Any]
    link: str | None
    uri: str | None

    @property
    def uuid(self) -> str:
        """The disk's."""
        return str(self.about.get("uuid") or "")

    @property
    def hvinfo(self) -> dict[str, str | int]:
        """Where qemu has it; empty in very old files."""
        return dict(self.about.get("hvinfo") or {})


@dataclass(frozen=True, slots=True)
class Runtime:
    """How an instance was started."""

    command: tuple[str, ...]
    nics: tuple[instances.Nic, ...]
    hvparams: hypervisors.HvParams
    disks: tuple[Disk, ...]

    def moved(self, name: str, where: places.Places) -> "Runtime":
        """Return the same for this node, whose directories may lie elsewhere."""
        theirs = _root(self.command, name)
        if theirs is None:
            raise errors.Damaged(f"the runtime of {name} does not say where it is from")
        ours = str(where.paths.root).rstrip("/")
        areas = ("/var/run/ganeti/", "/var/lib/ganeti/", "/var/log/ganeti/")
        command = []
        for word in self.command:
            for area in areas if theirs != ours else ():
                word = word.replace(theirs + area, ours + area)  # noqa: PLW2901
            command.append(word)
        return Runtime(tuple(command), self.nics, self.hvparams, self.disks)


class _Wire(msgspec.Struct, array_like=True):
    command: list[str | int]
    nics: tuple[instances.Nic, ...]
    hvparams: hypervisors.HvParams
    disks: list[tuple[dict[str, Any], str | None, str | None]] = []


_DECODER: Final = msgspec.json.Decoder(_Wire)


def encode(runtime: Runtime) -> bytes:
    """Return the file's content."""
    whole = (
        runtime.command,
        runtime.nics,
        runtime.hvparams,
        [(disk.about, disk.link, disk.uri) for disk in runtime.disks],
    )
    return msgspec.json.encode(whole) + b"\n"


def decode(content: bytes | str) -> Runtime:
    """Return what a runtime file says; raises Damaged if it is none."""
    data = content.encode() if isinstance(content, str) else content
    if len(data) > LARGEST:
        raise errors.Damaged("a runtime file of that size is none")
    try:
        found = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, errors.BadInput) as error:
        raise errors.Damaged(f"this is not a runtime file: {error}") from error
    if not found.command:
        raise errors.Damaged("this is not a runtime file: it has no command")
    return Runtime(
        tuple(str(word) for word in found.command),
        found.nics,
        found.hvparams,
        tuple(Disk(*disk) for disk in found.disks),
    )


def _root(command: tuple[str, ...], name: str) -> str | None:
    """Return what stands before ``/var/run/ganeti`` on the node that the command is from."""
    tail = f"/var/run/ganeti/kvm-hypervisor/pid/{name}"
    for option, value in itertools.pairwise(command):
        if option == "-pidfile":
            return value.removesuffix(tail) if value.endswith(tail) else None
    return None
