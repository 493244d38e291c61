"""The page: what is counted as it happens, and what is looked up when somebody asks.

Whoever counts makes instruments of the library in `Page.registry`. What has to be looked up comes
from sources: coroutines that return families, run on the daemon's loop whenever the page is made.
The text is made in a thread, for it grows with the figures.

Invariants: the page is made once at a time, and who comes meanwhile gets that one; a source is
asked once at a time. In failure: a source that fails or takes too long is left out of this page
(which is said once), and the others are there.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import prometheus_client
from prometheus_client import exposition, metrics_core, registry

from pyganeti.base import errors, log

CONTENT_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4

_LOG: Final = log.get(__name__)
_PATIENCE: Final = 3.0
_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024

Families: TypeAlias = Iterable[metrics_core.Metric]
Source: TypeAlias = Callable[[], Awaitable[Families]]


class Page:
    """One daemon's figures; ``daemon`` is the first part of their names, as in `prefix`."""

    def __init__(self, daemon: str, version: str, *, patience: float = _PATIENCE) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # nobody reads them
        self.prefix = f"ganeti_{daemon}"
        self.registry = registry.CollectorRegistry()
        self._patience = patience
        self._sources: dict[str, _Asked] = {}
        self._making: asyncio.Task[bytes] | None = None
        prometheus_client.ProcessCollector(registry=self.registry)
        built = prometheus_client.Info(
            self.prefix, "Which version this daemon is.", registry=self.registry
        )
        built.info({"version": version})
        self.registry.register(_Locked(self.prefix))
        self.registry.register(_Gathered(self._sources))

    def add(self, name: str, source: Source) -> Callable[[], None]:
        """Ask a source whenever the page is made, until what is returned is called."""
        self._sources[name] = asked = _Asked(name, source)

        def remove() -> None:
            if self._sources.get(name) is asked:
                del self._sources[name]

        return remove

    async def text(self) -> bytes:
        """Return the page of now."""
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._make())
            self._making.add_done_callback(self._made)
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks: list[asyncio.Task[Any]] = [
            asked.task for asked in self._sources.values() if asked.task is not None
        ]
        tasks += [] if self._making is None else [self._making]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sources.clear()

    async def _make(self) -> bytes:
        asked = list(self._sources.values())
        await asyncio.gather(*(one.ask(self._patience) for one in asked))
        return await asyncio.to_thread(functools.partial(exposition.generate_latest, self.registry))

    def _made(self, task: "asyncio.Task[bytes]") -> None:
        self._making = None
        if not task.cancelled():
            task.exception()  # looked at, though nobody may wait for it any more


class _Asked:
    """A source, and what it said last; nothing if it failed, or has not answered in time."""

    def __init__(self, name: str, source: Source) -> None:
        self._name = name
        self._source = source
        self._is_said = False
        self.task: asyncio.Task[tuple[metrics_core.Metric, ...]] | None = None
        self.families: tuple[metrics_core.Metric, ...] = ()

    async def ask(self, patience: float) -> None:
        """Ask, if it does not think about the last question still."""
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._asked())
        self.families = ()
        done, _ = await asyncio.wait({self.task}, timeout=patience)
        if not done:
            self._fail("it takes too long")
            return
        task, self.task = self.task, None
        try:
            self.families = task.result()
        except (errors.Failure, OSError) as error:
            self._fail(str(error))
        except asyncio.CancelledError:
            self._fail("it was given up")
        except Exception as error:  # noqa: BLE001 - the task's top frame: one source, not the page
            self._fail(repr(error))
        else:
            self._is_said = False

    async def _asked(self) -> tuple[metrics_core.Metric, ...]:
        return tuple(await self._source())

    def _fail(self, why: str) -> None:
        if not self._is_said:
            _LOG.warning("some figures cannot be had", source=self._name, why=why)
        self._is_said = True


class _Gathered(registry.Collector):
    """What the sources said."""

    def __init__(self, sources: dict[str, _Asked]) -> None:
        self._sources = sources

    def collect(self) -> Families:
        """Return all of it."""
        return [family for asked in list(self._sources.values()) for family in asked.families]


class _Locked(registry.Collector):
    """How much of the daemon's memory cannot be swapped out."""

    def __init__(self, prefix: str) -> None:
        self._name = f"{prefix}_locked_memory_bytes"

    def collect(self) -> Families:
        """Return what the kernel says."""
        family = metrics_core.GaugeMetricFamily(
            self._name, "Memory of the daemon that is locked, and so cannot be swapped out."
        )
        try:
            lines = _STATUS.read_text().splitlines()
        except OSError:
            return [family]
        found = [line.split()[1] for line in lines if line.startswith("VmLck:")]
        for kibibytes in found:
            family.add_metric([], int(kibibytes) * _KIB)
        return [family]
