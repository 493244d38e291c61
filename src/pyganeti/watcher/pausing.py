"""Has the cluster's watcher rest or go on, and tells how this node's is.

Resting is the cluster's matter, and asked of the master daemon, which tells all nodes. How it is
with this node's watcher its own files say, on any node and without any daemon.
"""

import time
from collections.abc import Iterator

from pyganeti.base import errors, paths, watcherpause, watchers
from pyganeti.clients import luxi


def pause(layout: paths.Paths, seconds: int) -> str:
    """Have all nodes' watchers rest; return what to say about it. Raises as the client does."""
    with luxi.Client(layout) as client:
        return watchers.paused(client.set_watcher_pause(time.time() + seconds))


def go_on(layout: paths.Paths) -> str:
    """Have them go on; return what to say about it. Raises as the client does."""
    with luxi.Client(layout) as client:
        client.set_watcher_pause(None)
    return "The watcher is no longer paused."


def told(layout: paths.Paths) -> Iterator[str]:
    """Yield how this node's watcher is; raises Denied if that may not be looked at."""
    try:
        until = watcherpause.read(layout.watcher_pause, time.time())
        found = watchers.find(layout)
    except OSError as error:
        raise errors.Denied(f"{layout.state_dir}: {error.strerror}") from error
    yield watchers.paused(until)
    yield from watchers.told(found)
