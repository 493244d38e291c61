"""The file config.data as a whole: Ganeti's shape outside, our entries inside. No I/O.

The pieces of the entries are put together as they are; nothing is encoded again for a change of
something else.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model.config import codec, entries

_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SECTION: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_FAULTS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(data: bytes) -> dict[str, bytes]:
    """Return the entries in a file; raises Damaged if it is no configuration.

    What the objects are like is not looked at here.
    """
    try:
        top = _TOP.decode(data)
    except _FAULTS as error:
        raise errors.Damaged(f"it is not the JSON of a configuration: {error}") from error
    found: dict[str, bytes] = {}
    for section in codec.CONTAINERS:
        try:
            held = _SECTION.decode(top.pop(section, b"null"))
        except _FAULTS as error:
            raise errors.Damaged(f"its {section} are none: {error}") from error
        for uuid, piece in (held or {}).items():
            found[entries.key(section, uuid)] = bytes(piece)
    for name in (entries.CLUSTER, "version"):
        if name not in top:
            raise errors.Damaged(f"it is no configuration: it has no {name}")
    found[entries.CLUSTER] = bytes(top.pop(entries.CLUSTER))
    found[entries.HEAD] = msgspec.json.encode(top)
    return found


class Pieces:
    """The entries of one configuration, ready to be put together into a file."""

    def __init__(self, held: entries.Entries) -> None:
        self._head = b"{}"
        self._cluster = b"{}"
        self._sections: dict[str, dict[str, bytes]] = {name: {} for name in codec.CONTAINERS}
        self.change(held)

    def change(self, changes: entries.Changes) -> None:
        """Put and remove entries; raises BadInput for a key that can have no place in the file."""
        for key, piece in changes.items():
            section, slash, uuid = key.partition("/")
            if slash and section in self._sections:
                if piece is None:
                    self._sections[section].pop(uuid, None)
                else:
                    self._sections[section][uuid] = msgspec.json.encode(uuid) + b":" + piece
            elif key == entries.HEAD and piece is not None:
                self._head = piece
            elif key == entries.CLUSTER and piece is not None:
                self._cluster = piece
            else:
                raise errors.BadInput(f"there is no place in config.data for {key!r}")

    def copy(self) -> "Pieces":
        """Return the same, to be changed by itself."""
        other = Pieces({})
        other._head, other._cluster = self._head, self._cluster
        other._sections = {name: dict(held) for name, held in self._sections.items()}
        return other

    def render(self) -> bytes:
        """Return the file."""
        return b"".join(self._rendered())

    def _rendered(self) -> Iterator[bytes]:
        head = self._head.strip()
        yield head[:-1]
        yield b',"cluster":' if len(head) > 2 else b'"cluster":'  # noqa: PLR2004 - more than {}
        yield self._cluster
        for name, held in self._sections.items():
            yield b',"%s":{' % name.encode()
            yield b",".join(held.values())
            yield b"}"
        yield b"}"


def serial_of(piece: bytes) -> int:
    """Return the serial number that the entry HEAD says, 0 if none."""
    try:
        head: Any = msgspec.json.decode(piece)
    except _FAULTS:
        return 0
    found = head.get("serial_no") if isinstance(head, dict) else None
    return found if isinstance(found, int) else 0
