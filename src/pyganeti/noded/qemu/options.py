"""Qemu's option syntax, ``driver,key=value,…``: written in one place, so that it is escaped in one.

A comma in a value is doubled, as qemu wants it (QemuOpts and keyval alike). Keys never come from
outside.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pyganeti.base import errors

Value = str | int | bool | None


def render(head: str, values: Mapping[str, Value]) -> str:
    """Return ``head`` and what follows it; booleans are on and off, None is left out.

    Raises BadInput for a value with a NUL or newline in it.
    """
    parts = [head] if head else []
    parts += [f"{key}={text(value)}" for key, value in values.items() if value is not None]
    return ",".join(parts)


def headed(key: str, values: Mapping[str, Value]) -> str:
    """Return the options with the value of one in front, without its key: ``-device virtio,…``."""
    return render(str(values[key]), {k: v for k, v in values.items() if k != key})


def text(value: str | int | bool) -> str:  # noqa: FBT001 - a value of any kind
    """Return a value as qemu reads it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    found = str(value)
    if "\0" in found or "\n" in found:
        raise errors.BadInput(f"{found!r} cannot be given to qemu")
    return found.replace(",", ",,")


def nested(prefix: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the options of a thing within a thing: each key with the prefix and a dot."""
    return {f"{prefix}.{key}": value for key, value in values.items()}


def as_object(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the same options as QMP takes them: objects within objects, numbered keys as lists."""
    whole: dict[str, Any] = {}
    for key, value in values.items():
        if value is None:
            continue
        *outer, last = key.split(".")
        at = whole
        for name in outer:
            at = at.setdefault(name, {})
        at[last] = value
    return {key: _listed(value) for key, value in whole.items()}


def _listed(value: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(one) for key, one in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def join(words: Iterable[str]) -> str:
    """Return a command line for people to read, one option a line."""
    lines: list[str] = []
    for word in words:
        if lines and not word.startswith("-") and not lines[-1].count(" "):
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\n".join(lines) + "\n"
