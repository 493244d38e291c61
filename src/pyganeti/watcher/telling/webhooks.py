"""All webhooks: who is owed what, and the senders that see to it.

In failure: a file of receivers that makes no sense changes nothing while the daemon runs (those
read before hold on), and is said; at the start there are then no webhooks. Receivers that are in
the file no more are owed nothing any more.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, paths
from pyganeti.watcher import events
from pyganeti.watcher.telling import message, outbox, receivers, sending

_LOG: Final = log.get(__name__)

FOLDER: Final = "watcher.webhooks"
"""In the directory of what stays: an outbox each."""


class Webhooks:
    """Listens from `start` to `close`."""

    def __init__(
        self,
        layout: paths.Paths,
        cluster: Callable[[], str],
        *,
        observed: sending.Observed = lambda _name, _what: None,
        pauses: tuple[float, float] = sending.PAUSES,
    ) -> None:
        """``cluster`` returns the cluster's name; it may block a little."""
        self._file = layout.config_dir / receivers.FILE
        self._folder = layout.state_dir / FOLDER
        self._cluster = cluster
        self._observed = observed
        self._pauses = pauses
        self._senders: dict[str, tuple[sending.Sender, asyncio.Task[None]]] = {}
        self._changing = asyncio.Lock()

    @property
    def owed(self) -> dict[str, int]:
        """How many events are owed, by receiver."""
        return {name: len(sender.box) for name, (sender, _) in self._senders.items()}

    async def start(self) -> None:
        """Begin to send what is owed."""
        await self.reload()

    async def reload(self) -> None:
        """Go by the file as it is now."""
        async with self._changing:
            try:
                wanted = await asyncio.to_thread(receivers.read, self._file)
            except errors.BadInput as error:
                _LOG.error("the webhooks cannot be read; nothing changes", why=str(error))
                return
            for _, task in self._senders.values():
                await _ended(task)
            self._senders.clear()
            for receiver in wanted:
                self._senders[receiver.name] = await self._begun(receiver)
            await self._drop_others()
            if wanted:
                _LOG.info("webhooks are told", names=", ".join(self._senders))

    async def on_event(self, event: events.Event) -> None:
        """Owe an event to all who are to hear of it; returns when that is on the disk."""
        async with self._changing:
            wanting = [s for s, _ in self._senders.values() if s.receiver.wants(event)]
            if not wanting:
                return
            body = message.as_json(event, await asyncio.to_thread(self._cluster))
            for sender in wanting:
                await sender.owe(message.identity(event), event.kind.value, body)

    async def settled(self, patience: float) -> None:
        """Wait until nothing is owed, or what is left has to be tried again later."""
        senders = [sender for sender, _ in self._senders.values()]
        if not senders:
            return
        async with asyncio.TaskGroup() as group:
            for sender in senders:
                group.create_task(_settled(sender, patience))

    async def close(self) -> None:
        """Send no more; what is owed stays on the disk."""
        async with self._changing:
            for _, task in self._senders.values():
                await _ended(task)
            self._senders.clear()

    async def _begun(
        self, receiver: receivers.Receiver
    ) -> "tuple[sending.Sender, asyncio.Task[None]]":
        box = outbox.Outbox(self._folder / receiver.name)
        sender = sending.Sender(receiver, box, observed=self._observed, pauses=self._pauses)
        await sender.open()
        if receiver.is_open:
            _LOG.warning("a webhook is not encrypted", webhook=receiver.name)
        return sender, asyncio.create_task(_persistently(sender))

    async def _drop_others(self) -> None:
        for path in await asyncio.to_thread(_listed, self._folder):
            if path.name in self._senders:
                continue
            box = outbox.Outbox(path)
            await asyncio.to_thread(box.load)
            if len(box):
                _LOG.warning("events for nobody are dropped", webhook=path.name, count=len(box))
            await asyncio.to_thread(box.clear)


def _listed(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


async def _persistently(sender: sending.Sender) -> None:
    while True:
        try:
            await sender.run()
        except Exception:  # noqa: BLE001 - the task's top frame: there are other receivers
            _LOG.exception("a fault of ours in a webhook", webhook=sender.receiver.name)
        await asyncio.sleep(1.0)


async def _settled(sender: sending.Sender, patience: float) -> None:
    waits = [asyncio.create_task(sender.idle.wait()), asyncio.create_task(sender.tried.wait())]
    try:
        await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
