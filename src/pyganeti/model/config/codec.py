"""How each object of the configuration stands in a file: bytes to objects and back.

Decoding is fast as long as every field is known: a decoder that forbids all others does it in one
go. Only an object with a field of a newer version is taken apart slowly, what is unknown kept in
``rest``, and put together again the same way. Nothing of the object is lost, and null is as good as
absent. Raises Damaged, with the place, for what cannot be the object.
"""

import functools
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec

from pyganeti.base import errors
from pyganeti.model.config import disk, filterrule, group, instance, network, node
from pyganeti.model.config.record import REST, Record

R = TypeVar("R", bound=Record)

CONTAINERS: Final[Mapping[str, type[Record]]] = {
    "nodes": node.Node,
    "nodegroups": group.NodeGroup,
    "instances": instance.Instance,
    "networks": network.Network,
    "disks": disk.Disk,
    "filters": filterrule.FilterRule,
}
"""The sections of a configuration that hold objects by uuid, by Ganeti's names, in its order."""

_ENCODER: Final = msgspec.json.Encoder()
_DEPTH: Final = 8
"""Nothing in a configuration is nested deeper than this in objects of its own."""


def decode(data: bytes | msgspec.Raw, kind: type[R]) -> R:
    """Return the object that a piece of JSON is; raises Damaged if it is no such thing."""
    try:
        decoded: R = _decoder(kind).decode(data)
        return decoded
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(f"this is no JSON: {error}") from error
    return _decode_slowly(data, kind)


def encode(record: Record) -> bytes:
    """Return an object as a piece of JSON."""
    if _is_plain(record):
        return _ENCODER.encode(record)
    return _ENCODER.encode(to_wire(record))


def to_wire(record: Record) -> dict[str, Any]:
    """Return an object as the dict that JSON has for it, unknown fields among the others.

    Everything in it belongs to the caller, who may change it.
    """
    builtins: dict[str, Any] = msgspec.json.decode(_ENCODER.encode(record))
    _spread(record, builtins)
    return builtins


def from_wire(described: Mapping[str, Any], kind: type[R]) -> R:
    """Return the object that a dict of JSON's describes; raises Damaged if it is none."""
    return _convert(described, kind)


@functools.cache
def _decoder(kind: type[R]) -> msgspec.json.Decoder[R]:
    return msgspec.json.Decoder(kind)


@functools.cache
def _parts(kind: type[Record]) -> Mapping[str, type[Record]]:
    """Return the fields that hold objects of their own, each a tuple of them."""
    found: dict[str, type[Record]] = {}
    for key, hint in get_type_hints(kind).items():
        for part in get_args(hint):
            if isinstance(part, type) and issubclass(part, Record):
                found[key] = part
    return found


def _is_plain(record: Record) -> bool:
    """Return whether msgspec writes the object as it should be."""
    if record.rest or getattr(record, "forthcoming", False):
        return False
    return all(_is_plain(part) for key in _parts(type(record)) for part in getattr(record, key))


def _spread(record: Record, builtins: dict[str, Any]) -> None:
    """Put what ``rest`` holds where it came from; take out what a forthcoming one never had."""
    for key in _parts(type(record)):
        for part, within in zip(getattr(record, key), builtins[key], strict=True):
            _spread(part, within)
    if getattr(record, "forthcoming", False):
        for key in [key for key, value in builtins.items() if value == ""]:
            del builtins[key]
    builtins.update(builtins.pop(REST, {}))


def _decode_slowly(data: bytes | msgspec.Raw, kind: type[R]) -> R:
    try:
        described = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(f"this is no JSON: {error}") from error
    if not isinstance(described, dict):
        raise errors.Damaged(f"this is no object: {type(described).__name__}")
    return _convert(described, kind)


def _convert(described: Mapping[str, Any], kind: type[R]) -> R:
    try:
        return msgspec.convert(_gathered(described, kind, 0), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise errors.Damaged(str(error)) from error


def _gathered(described: object, kind: type[Record], depth: int) -> object:
    """Return the dict with its unknown fields put into ``rest``, in its parts likewise."""
    if not isinstance(described, Mapping) or depth > _DEPTH:
        return described  # which the conversion refuses, and says where it is
    known = frozenset(kind.__struct_fields__) - {"rest"}
    parts = _parts(kind)
    gathered: dict[str, Any] = {REST: {}}
    for key, value in described.items():
        if key not in known:
            gathered[REST][key] = value
        elif value is None:
            continue
        elif key in parts and isinstance(value, list):
            gathered[key] = [_gathered(part, parts[key], depth + 1) for part in value]
        else:
            gathered[key] = value
    return gathered
