"""Whether the keys by which a cluster's nodes log in to each other are where they belong.

Nodes that may become master know everybody's public keys (``ganeti_pub_keys``, lines of a node's
uuid and a key); the master candidates' keys open every node (``authorized_keys``), the others' only
their own. The judgement is made by `judge` and `repeated` from the files' content alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

from pyganeti.base import errors, paths

NodeStatus: TypeAlias = tuple[str, str, bool, bool, bool]
"""A node's uuid and name, whether it is a master candidate, may become one, is online."""

Keys: TypeAlias = Mapping[str, Sequence[str]]

_KINDS: Final = ("rsa", "dsa", "ecdsa", "ed25519")
_LIMIT: Final = 4 * 1024 * 1024
_KEY: Final = 2
"""Words of a key that matter: its kind and itself; then a comment."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys are."""

    everybodys: Path
    root: Path

    @classmethod
    def of(cls, layout: paths.Paths) -> Self:
        """Return the places of a node."""
        return cls(layout.state_dir / "ganeti_pub_keys", layout.root / "root/.ssh")


def setup(places: Places, own: str, status: Sequence[NodeStatus] | None, kind: str) -> list[str]:
    """Return what is wrong with the keys' files. Blocks.

    Raises BadInput for a kind of key that there is none of, Unavailable for unreadable files.
    """
    if kind not in _KINDS:
        raise errors.BadInput(f"there are no ssh keys of the kind {kind}")
    if status is None:
        return ["No node list to check against the pub_key_file received."]
    if not places.everybodys.exists():
        how = "'gnt-cluster renew-crypto --new-ssh-keys' makes it"
        return [f"The public key file '{places.everybodys}' does not exist; {how}"]
    mine = places.root / f"id_{kind}.pub"
    return judge(
        own,
        status,
        everybodys=public_keys(_text(places.everybodys)),
        mine=_text(mine),
        authorized=_text(places.root / "authorized_keys").splitlines(),
        where=(str(places.everybodys), str(mine)),
    )


def clutter(places: Places, own: str, status: Sequence[NodeStatus] | None) -> list[str]:
    """Return which nodes have more than one key that opens this one. Blocks."""
    lines = _text(places.root / "authorized_keys").splitlines()
    return repeated(own, {name for _, name, *_ in status or ()}, lines)


def judge(
    own: str,
    status: Sequence[NodeStatus],
    *,
    everybodys: Keys,
    mine: str,
    authorized: Sequence[str],
    where: tuple[str, str],
) -> list[str]:
    """Return what is wrong, as lines for an operator."""
    me = next((node for node in status if node[1] == own), None)
    if me is None:
        return [f"Cannot find node information for node '{own}'."]
    uuid, _, _, may_be_master, _ = me
    if not may_be_master:
        if not everybodys:
            return []
        return [f"{own}:{where[0]} is not empty, although the node cannot become master."]
    online = {node[0] for node in status if node[4]}
    offline = {node[0] for node in status} - online
    found = []
    unknown = sorted(everybodys.keys() - offline - online)
    if unknown:
        found.append(f"{own}:{where[0]} has keys of unknown nodes: {', '.join(unknown)}.")
    missing = sorted(online - everybodys.keys())
    if missing:
        found.append(f"{own}:{where[0]} lacks the keys of: {', '.join(missing)}.")
    keys = everybodys.get(uuid, ())
    if _words(mine) not in [_words(key) for key in keys]:
        found.append(f"The key in {own}:{where[1]} is not the one in {where[0]}.")
    if len(keys) > 1:
        found.append(f"{own}:{where[0]} has more than one key of this node.")
    opens = [_words(line) for line in authorized]
    for node, name, is_candidate, _, is_online in status:
        if is_online and node not in missing:
            found += _opening(own, name, everybodys[node], opens, is_candidate=is_candidate)
    return found


def repeated(own: str, names: Collection[str], authorized: Sequence[str]) -> list[str]:
    """Return which of these nodes have more than one key in the lines."""
    seen: dict[str, list[str]] = {}
    for number, line in enumerate(authorized, 1):
        who = next((word for word in line.split() if "@" in word), None)
        if who is not None and not line.startswith("#") and who.partition("@")[2] in names:
            seen.setdefault(who, []).append(str(number))
    entries = [
        f"'{who}' in lines {', '.join(lines)}" for who, lines in seen.items() if len(lines) > 1
    ]
    if not entries:
        return []
    return [f"More than one key in 'authorized_keys' of {own}: {'; '.join(entries)}."]


def public_keys(text: str) -> dict[str, list[str]]:
    """Return the keys of each node; lines that are none are left out."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        uuid, _, key = line.strip().partition(" ")
        if key and not uuid.startswith("#"):
            found.setdefault(uuid, []).append(key.strip())
    return found


def _opening(
    own: str, name: str, keys: Sequence[str], opens: Sequence[list[str]], *, is_candidate: bool
) -> list[str]:
    found = []
    for key in keys:
        is_there = _words(key) in opens
        if is_candidate and not is_there:
            found.append(f"The key of master candidate '{name}' does not open '{own}'.")
        elif not is_candidate and name != own and is_there:
            found.append(f"The key of '{name}', no master candidate, opens '{own}'.")
        elif not is_candidate and name == own and not is_there:
            found.append(f"The key of '{own}' does not open itself.")
    return found


def _words(line: str) -> list[str]:
    """Return what matters of a key; a line that begins with options is compared whole."""
    words = line.split()
    has_options = not words or not words[0].startswith(("ssh-", "ecdsa-", "sk-"))
    return words if has_options else words[:_KEY]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be read: {error.strerror}") from error
