"""Hears of stops as a master could: each node is asked over its RPC, and answers when there is one.

One thread a node. A node that does not answer is asked again until it does, and goes on where it
left off.
"""

import threading
import time
from typing import Final

from lab.cluster import clusters, machines
from pyganeti.base import errors
from pyganeti.model import stop as stops
from pyganeti.wire import stoprow

_WAIT: Final = 1.0
_PAUSE: Final = 0.01
_PATIENCE: Final = 10.0

Heard = tuple[stops.Stop, float]
"""A stop, and when it was heard of: seconds of the epoch."""


class Stops:
    """What nodes have told so far, from construction to `close`."""

    def __init__(self, cluster: clusters.Cluster) -> None:
        self._cluster = cluster
        self._caller = cluster.caller()
        self._heard: dict[tuple[str, str], list[Heard]] = {}
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(node,), daemon=True)
            for node in cluster.nodes
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def wait(self, node: machines.Node, name: str, *, within: float = _PATIENCE) -> Heard | None:
        """Return the first stop of a guest on a node; None if none is told in time."""
        with self._news:
            self._news.wait_for(lambda: (node.port, name) in self._heard, within)
            return self._heard.get((node.port, name), [None])[0]

    def count(self, node: machines.Node, name: str) -> int:
        """Return how many stops of a guest a node has told."""
        with self._news:
            return len(self._heard.get((node.port, name), []))

    def _follow(self, node: machines.Machine) -> None:
        mark: str | None = None
        while not self._ended.is_set():
            try:
                told = self._caller.call(
                    node.address, "instance_stops", mark, _WAIT, timeout=_WAIT + 1
                )
            except errors.Failure:  # it is down, or nothing was ever recorded there
                self._ended.wait(_PAUSE)
                continue
            now, mark = time.time(), told["mark"]
            if mark is None:
                self._ended.wait(_PAUSE)
            for row in told["rows"]:
                stop = stoprow.stop_from(row)
                with self._news:
                    self._heard.setdefault((node.port, stop.name), []).append((stop, now))
                    self._news.notify_all()
