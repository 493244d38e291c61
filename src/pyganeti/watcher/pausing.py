"""Has the cluster's watcher rest or go on, and tells how it is: asked of the master daemon."""

import time
from collections.abc import Iterator

from pyganeti.base import errors, paths, watchers
from pyganeti.clients import luxi


def act(layout: paths.Paths, pause: int | None, *, goes_on: bool) -> Iterator[str]:
    """Pause for so many seconds, go on, or only tell; yield what to say about it.

    Raises a Failure if there is no master daemon to ask here.
    """
    with luxi.Client(layout) as client:
        if goes_on:
            client.set_watcher_pause(None)
            yield "The watcher is no longer paused."
            return
        if pause is not None:
            until = client.set_watcher_pause(time.time() + pause)
        else:
            [until] = client.query_config_values(["watcher_pause"])
    yield watchers.paused(until)
    if pause is None:
        try:
            found = watchers.find(layout)
        except OSError as error:
            raise errors.Denied(f"{layout.state_dir}: {error.strerror}") from error
        yield from watchers.told(found)
