r"""Why a job was submitted, as it stands in each of its opcodes: the reason trail.

A list of ``[source, text, nanoseconds since 1970]``, to which everybody adds on the way from who
wanted it to what is done. Sources of Ganeti's:

``gnt:user``              the words that a person gave as the reason
``gnt:client:PROGRAM``    a command; the text is its sub-command
``gnt:library:rlib2:…``   the REST interface
``gnt:opcode:…``          the queue; the text is ``job=N;index=N``
``gnt:watcher``           the watcher

and one of ours: ``gnt:peer``, who was at the other end of the master daemon's socket, as its kernel
says: ``pid=N;uid=N``, ``user=NAME`` if the number has a name there, ``login=NAME`` if somebody else
had logged in, and became that user by sudo or su, and ``node=NAME``, where that was.

The text of our watcher about an instance that fell is ``cause=CAUSE;try=N;stop=KEY``, with the
``key`` that the stop has in the journal of its node (empty if none is on record).

Reading is forgiving: anybody may submit anything as a trail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Entry: TypeAlias = tuple[str, str, int]

USER: Final = "gnt:user"
CLIENT: Final = "gnt:client:"
LIBRARY: Final = "gnt:library:"
OPCODE: Final = "gnt:opcode:"
PEER: Final = "gnt:peer"
WATCHER: Final = "gnt:watcher"

_PIECE: Final = re.compile(r"([a-z]+)=([^;]*)")
_STRANGE: Final = re.compile(r"[^!-:<-~]")
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who submitted a job, and on which node.

    ``login`` is another user's name if that is who had logged in.
    """

    pid: int
    uid: int
    user: str = ""
    login: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the watcher said of a job of its own about an instance that fell.

    ``stop`` is the stop's key, "" if none is on record; ``attempt`` counts from 1, and is 0 where
    the job starts nothing and gives nothing up.
    """

    cause: str
    attempt: int
    stop: str = ""


def entries(trail: object) -> Iterator[Entry]:
    """Yield what is legible of a trail, in its order."""
    for held in trail if isinstance(trail, list | tuple) else ():
        match held:
            case [str(source), str(text), int(at)]:
                yield source, text, at


def peer_text(peer: Peer) -> str:
    """Return the text of an entry that names a peer."""
    pieces: dict[str, object] = {"pid": peer.pid, "uid": peer.uid}
    pieces |= {"user": peer.user} if peer.user else {}
    pieces |= {"login": peer.login} if peer.login else {}
    pieces |= {"node": peer.node} if peer.node else {}
    return _joined(pieces)


def peer_of(trail: object) -> Peer | None:
    """Return who submitted the job, None if that is not known.

    It is the last such entry that counts: whoever submits can write others before it.
    """
    for source, text, _ in reversed(list(entries(trail))):
        if source == PEER:
            pieces = _pieces(text)
            if (pid := _number(pieces, "pid")) is None or (uid := _number(pieces, "uid")) is None:
                return None
            return Peer(
                pid,
                uid,
                user=pieces.get("user", ""),
                login=pieces.get("login", ""),
                node=pieces.get("node", ""),
            )
    return None


def recovery_text(recovery: Recovery) -> str:
    """Return the text of the watcher's entry."""
    return _joined({"cause": recovery.cause, "try": recovery.attempt, "stop": recovery.stop})


def recovery_of(trail: object) -> Recovery | None:
    """Return what our watcher said of a job, None if the job is none of its attempts."""
    for source, text, _ in entries(trail):
        if source == WATCHER:
            pieces = _pieces(text)
            attempt = _number(pieces, "try")
            if attempt is not None and "cause" in pieces:
                return Recovery(pieces["cause"], attempt, pieces.get("stop", ""))
    return None


def is_watchers(trail: object) -> bool:
    """Tell whether a watcher, ours or Ganeti's, submitted the job."""
    return any(source == WATCHER for source, _, _ in entries(trail))


def _joined(pieces: dict[str, Any]) -> str:
    return ";".join(f"{key}={_STRANGE.sub('_', str(value))}" for key, value in pieces.items())


def _pieces(text: str) -> dict[str, str]:
    found = (_PIECE.fullmatch(piece) for piece in text.split(";"))
    return {match[1]: match[2] for match in found if match is not None}


def _number(pieces: dict[str, str], key: str) -> int | None:
    text = pieces.get(key, "")
    return int(text) if _NUMBER.fullmatch(text) else None
