"""LUXI: what the commands and the master daemon say to each other over a socket on the machine.

A message is JSON in UTF-8 and the byte 0x03, which JSON never has in it, both ways. A request is
``{"method", "args", "version"}``, an answer ``{"success", "result"}``; an answer carries no
version, for clients end on any other than their own. Bytes in, messages out: nothing here reads or
writes. Whatever comes in is a message or a Failure, and costs no more memory than its limit; what
goes out can be read by every client, strange names and numbers included.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.wire import luxierrors, names

END: Final = b"\x03"

VERSION: Final = 3_000_000
"""Ganeti 3.0's: major times a million, minor times ten thousand."""

VERSIONS: Final = frozenset({VERSION, 3_010_000})
"""What a request may name; it may also name none."""

REQUEST_LIMIT: Final = 16 * 1024 * 1024
"""Bytes that a request may have: five thousand jobs in one are half of that."""

ANSWER_LIMIT: Final = 256 * 1024 * 1024

CHANGE_PATIENCE: Final = 60
"""Seconds that clients wait for a job's change before they ask again; Ganeti's default."""

NOT_CHANGED: Final = "nochange"
"""The answer to a wait that has ended for its time alone."""

METHODS: Final = frozenset(
    {
        "ArchiveJob",
        "AutoArchiveJobs",
        "CancelJob",
        "ChangeJobPriority",
        "DeleteFilter",
        "PickupJob",
        "Query",
        "QueryClusterInfo",
        "QueryConfigValues",
        "QueryExports",
        "QueryFields",
        "QueryFilters",
        "QueryGroups",
        "QueryInstances",
        "QueryJobs",
        "QueryNetworks",
        "QueryNodes",
        "QueryTags",
        "ReplaceFilter",
        "SetDrainFlag",
        "SetWatcherPause",
        "SubmitJob",
        "SubmitJobToDrainedQueue",
        "SubmitManyJobs",
        "WaitForJobChange",
    }
)
"""All that Ganeti 3.0's protocol has."""


class Unreadable(errors.Failure):
    """A request that is none; goes out as a bare text, as Ganeti says it."""

    def __str__(self) -> str:
        return f"Failed to parse request: {super().__str__()}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``args`` is whatever JSON was there, a list as a rule."""

    method: str
    args: Any


class Splitter:
    """Cuts a stream into messages.

    Holds at most ``limit`` bytes of an unfinished one. A longer message costs nothing further: its
    bytes are dropped as they come, and None stands in its place, so that it can be answered. With
    ``may_hold`` others have a say: it is asked, with how many bytes more are to be kept, and a
    message it refuses is treated likewise; ``let_go`` is told when they are held no longer.
    """

    __slots__ = ("_let_go", "_limit", "_may_hold", "_overflown", "_unfinished")

    def __init__(
        self,
        limit: int = REQUEST_LIMIT,
        *,
        may_hold: Callable[[int], bool] = lambda _: True,
        let_go: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._limit = limit
        self._may_hold = may_hold
        self._let_go = let_go
        self._unfinished = bytearray()
        self._overflown = False

    @property
    def is_between(self) -> bool:
        """Whether the last message came to its end."""
        return not self._unfinished and not self._overflown

    def feed(self, data: bytes) -> Iterator[bytes | bytearray | None]:
        """Yield the messages that end in ``data``, without their ends; None for one too long."""
        begin = 0
        while (end := data.find(END, begin)) >= 0:
            if self.is_between and end - begin <= self._limit:
                yield data[begin:end]
            else:
                self._take(data[begin:end])
                message = None if self._overflown else self._unfinished
                self.clear()
                yield message
            begin = end + 1
        if begin < len(data):
            self._take(data[begin:] if begin else data)

    def clear(self) -> None:
        """Forget what was held."""
        if self._unfinished:
            self._let_go(len(self._unfinished))
            self._unfinished = bytearray()
        self._overflown = False

    def _take(self, piece: bytes) -> None:
        if self._overflown or not piece:
            return
        if len(self._unfinished) + len(piece) > self._limit or not self._may_hold(len(piece)):
            self.clear()
            self._overflown = True
            return
        self._unfinished += piece


def encode_request(method: str, args: Sequence[object], version: int | None = VERSION) -> bytes:
    """Return a request with its end."""
    request: dict[str, object] = {"method": method, "args": list(args)}
    if version is not None:
        request["version"] = version
    return _encoded(request) + END


def decode_request(message: bytes | bytearray) -> Request:
    """Return what a message asks for.

    Raises Unreadable if it is no request, Protocol for a version that is not ours.
    """
    try:
        decoded = msgspec.json.decode(message)
    except RecursionError as error:
        raise Unreadable("parsing top-level JSON message: it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"parsing top-level JSON message: {error}") from error
    if not isinstance(decoded, dict):
        raise Unreadable("parsing top-level JSON message: it is not an object")
    version = decoded.get("version")
    if version is not None and not (type(version) is int and version in VERSIONS):
        raise luxierrors.Protocol(
            f"LUXI version mismatch, server {VERSION}, request {shown(version)}"
        )
    method = member(decoded, "method")
    if not isinstance(method, str) or method not in METHODS:
        raise Unreadable(
            f"Unable to parse LUXI request method: {_no_method(method)}: {shown(method)}"
        )
    return Request(method, member(decoded, "args"))


def encode_success(result: object) -> bytes:
    """Return an answer with its end; what is in ``result`` encoded already may be msgspec.Raw."""
    return _encoded({"success": True, "result": result}) + END


def encode_failure(failure: errors.Failure) -> bytes:
    """Return an answer that says why not, with its end."""
    result = str(failure) if isinstance(failure, Unreadable) else luxierrors.encode(failure)
    return _encoded({"success": False, "result": result}) + END


def decode_answer(message: bytes | bytearray, version: int = VERSION) -> Any:  # noqa: ANN401 - JSON
    """Return an answer's result; raises the Failure that it says, Protocol if it is no answer."""
    try:
        decoded = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise luxierrors.Protocol(f"the master daemon's answer is not JSON: {error}") from error
    if not isinstance(decoded, dict) or "success" not in decoded or "result" not in decoded:
        raise luxierrors.Protocol("the master daemon's answer is neither a success nor a failure")
    if decoded.get("version", version) != version:
        raise luxierrors.Protocol(
            f"the master daemon speaks another protocol: {shown(decoded['version'])}"
        )
    if decoded["success"]:
        return decoded["result"]
    raise luxierrors.decode(decoded["result"])


def member(record: dict[str, Any], key: str) -> Any:  # noqa: ANN401 - JSON
    """Return a member of a request's object; raises Unreadable, in Ganeti's words, without it."""
    try:
        return record[key]
    except KeyError:
        there = shown(list(record), separators=(",", ":"))
        raise Unreadable(f"key '{key}' not found, object contains only {there}") from None


_SHOWN: Final = 500
"""Characters of a value that an error repeats."""


def shown(value: object, separators: tuple[str, str] = (", ", ": ")) -> str:
    """Return JSON for people, as Ganeti's errors show it, and no more of it than one reads."""
    text = _spaced(value, separators, depth=0)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _spaced(value: object, separators: tuple[str, str], depth: int) -> str:
    """Render a value's beginning: its length and depth cost no more than what is shown."""
    if depth > 20:  # noqa: PLR2004 - deeper than anybody reads
        return "…"
    comma, colon = separators
    if isinstance(value, dict):
        pieces = (
            f"{_spaced(key, separators, depth)}{colon}{_spaced(held, separators, depth + 1)}"
            for key, held in value.items()
        )
        return "{" + _joined(comma, pieces) + "}"
    if isinstance(value, list | tuple):
        return "[" + _joined(comma, (_spaced(held, separators, depth + 1) for held in value)) + "]"
    if isinstance(value, str):
        value = value[: _SHOWN + 1]
    return _encoded(value).decode()


def _joined(comma: str, pieces: Iterator[str]) -> str:
    taken: list[str] = []
    length = 0
    for piece in pieces:
        taken.append(piece)
        length += len(piece)
        if length > _SHOWN:
            break
    return comma.join(taken)


def _no_method(method: object) -> str:
    return f"Invalid {'string ' if isinstance(method, str) else ''}value for type LuxiReq"


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # a file's name, say, that is not UTF-8
        return msgspec.json.encode(names.all_readable(value))
