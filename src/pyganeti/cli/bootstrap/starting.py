"""Starting this node's daemons: by their systemd units on a machine that has them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from pyganeti.base import daemons, errors, paths, units

_PATIENCE: Final = 60.0


def start(layout: paths.Paths, daemon: str, arguments: Sequence[str] = ()) -> None:
    """Start a daemon; raises Unavailable, with its own words, if it does not run then."""
    asyncio.run(_start(layout, daemon, arguments))


def stop(layout: paths.Paths, daemon: str) -> None:
    """Have a daemon end; raises Unavailable if it does not."""
    if not asyncio.run(daemons.stop(layout, daemon)):
        raise errors.Unavailable(f"{daemon} does not end")


def ending(layout: paths.Paths, daemon: str) -> Callable[[], None]:
    """Return what has a daemon end, to be called later."""
    return lambda: stop(layout, daemon)


async def _start(layout: paths.Paths, daemon: str, arguments: Sequence[str]) -> None:
    if await units.has(layout, daemon):
        once = units.once_file(layout, daemon)
        ended = await units.start(daemon, arguments, once, patience=_PATIENCE)
    else:
        ended = await daemons.launch(daemon, arguments, _PATIENCE)
    if ended.status != 0 or daemons.running(layout, daemon) is None:
        raise errors.Unavailable(f"{daemon} did not start: {daemons.words(ended)}")
