"""Qemu's option syntax, ``driver,key=value,…``: written in one place, so that it is escaped in one.

A comma in a value is doubled, as qemu wants it (QemuOpts and keyval alike). Keys never come from
outside.
"""

from collections.abc import Iterable, Mapping

from pyganeti.base import errors

Value = str | int | bool | None


def render(head: str, values: Mapping[str, Value]) -> str:
    """Return ``head`` and what follows it; booleans are on and off, None is left out.

    Raises BadInput for a value with a NUL or newline in it.
    """
    parts = [head] if head else []
    parts += [f"{key}={text(value)}" for key, value in values.items() if value is not None]
    return ",".join(parts)


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


def join(words: Iterable[str]) -> str:
    """Return a command line for people to read, one option a line."""
    lines: list[str] = []
    for word in words:
        if lines and not word.startswith("-") and not lines[-1].count(" "):
            lines[-1] += " " + word
        else:
            lines.append(word)
    return "\n".join(lines) + "\n"
