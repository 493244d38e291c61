"""What a new instance's name resolves to, and whether its address is free.

The resolver may be slow or silent: it is asked in a thread, and waited for so long and no longer.
"""

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors

_PATIENCE: Final = 15.0
"""Seconds that the resolver has."""

_PING: Final = 3.0
"""Seconds in which a computer that has the address would be heard from."""

_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Resolved:
    """A name in full, and its address."""

    name: str
    address: str


def normalized(name: str) -> str:
    """Return a name as instances have them; raises BadInput if it can be no computer's."""
    lowered = name.strip().lower()
    if len(lowered) > _LONGEST or not _NAME.fullmatch(lowered):
        raise errors.BadInput(f"Invalid name {name!r} for an instance")
    return lowered


async def resolve(name: str) -> Resolved:
    """Return what a name resolves to; raises BadInput if to nothing, or to another name."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE):
            found = await loop.getaddrinfo(
                name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME
            )
    except TimeoutError as error:
        raise errors.BadInput(
            f"the resolver does not answer for {name} within {_PATIENCE:.0f} s"
            " (--no-name-check asks nobody)",
            "resolver_error",
        ) from error
    except (socket.gaierror, UnicodeError) as error:
        raise errors.BadInput(
            f"The given name ({name}) does not resolve: {error}"
            " (--no-name-check takes a name that resolves to nothing)",
            "resolver_error",
        ) from error
    canonical, address = found[0][3] or name, str(found[0][4][0])
    full = normalized(canonical)
    if full != name and not full.startswith(f"{name}."):
        raise errors.BadInput(
            f"Resolved hostname '{full}' does not look the same as given hostname '{name}'"
        )
    return Resolved(full, address)


async def is_answering(address: str, port: int) -> bool:
    """Tell whether some computer has an address, by what comes of a connection to it."""
    try:
        async with asyncio.timeout(_PING):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return True
    except OSError:  # TimeoutError is one, too
        return False
    writer.close()
    return True
