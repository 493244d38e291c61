"""Clients that submit jobs to a cluster all the time, and write down what they were told.

    with submitting.Clients(nodes) as clients:
        …
    clients.accepted

Each talks to the master daemon of one machine, be it the leader or one that stands by, and waits
for nothing but the answer. The jobs are short, and do something on a node.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from lab import carriers
from lab.cluster import founding, machines
from pyganeti.base import errors, paths
from pyganeti.clients import luxi, luxichannel

_PAUSE: Final = 0.15
_PATIENCE: Final = 60.0
_ANSWER: Final = luxichannel.Patience(connect=5.0, answer=40.0, restart=0.5)


@dataclass(slots=True)
class Told:
    """What one client was told, in order: moments (monotonic), and a job's number or why none."""

    accepted: list[tuple[float, int]] = field(default_factory=list)
    refused: list[tuple[float, str]] = field(default_factory=list)


class Clients:
    """One for each of these machines."""

    def __init__(self, nodes: Sequence[machines.Machine]) -> None:
        self.told = {node.name: Told() for node in nodes}
        self._nodes = tuple(nodes)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._submit, args=(node,), name=f"client on {node.port}")
            for node in nodes
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(_PATIENCE)

    @property
    def accepted(self) -> list[int]:
        """The numbers of all jobs that anybody was told."""
        return [number for told in self.told.values() for _, number in told.accepted]

    def gap_after(self, moment: float) -> float:
        """Return how long after a moment it took until a job was accepted; infinity if none was."""
        later = [at for told in self.told.values() for at, _ in told.accepted if at > moment]
        return min(later, default=float("inf")) - moment

    def _submit(self, node: machines.Machine) -> None:
        told = self.told[node.name]
        layout = paths.Paths(node.seen(node.root), node.name)
        turn = 0
        while not self._ended.is_set():
            turn += 1
            target = self._nodes[turn % len(self._nodes)]
            opcode = carriers.opcode(
                duration=0.01,
                on_master=False,
                on_nodes=[target.name],
                on_node_uuids=[founding.uuid_of(target.name)],
                no_locks=True,
            )
            with contextlib.closing(luxi.Client(layout, _ANSWER)) as client:
                try:
                    number = client.submit([opcode])
                except (errors.Failure, OSError) as error:
                    told.refused.append((time.monotonic(), str(error)))
                else:
                    told.accepted.append((time.monotonic(), number))
            self._ended.wait(_PAUSE)
