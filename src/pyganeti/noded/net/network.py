"""The networks of a node as those see them who start and end instances.

`Network.check` says before anything happens what could not be attached. `Network.plug` opens an
instance's taps, has them attached, and lends them for as long as qemu takes to start; when that
fails, everything is as before. `Network.release` cleans up what a tap that has gone leaves behind:
rules, a switch's ports, files, whatever the site's script did; it may be called at any time, often,
and for instances that never were. `Network.sweep` does so for all that ended while nobody looked.

A tap of the name that is to be cleaned up, and that exists, is by then another NIC's: it and what
belongs to it are left alone.
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from pyganeti.base import errors, log, paths
from pyganeti.noded.net import bridges, links, netlink, nicfiles, openvswitch, routed, scripts
from pyganeti.noded.net import nic as nics
from pyganeti.noded.net import taps as tapping

_LOG: Final = log.get(__name__)


class Network:
    """What this node's instances are attached to, and how."""

    def __init__(self, layout: paths.Paths) -> None:
        self.netlink = netlink.Netlink()
        self._scripts = scripts.Scripts(layout.config_dir)
        self._files = nicfiles.NicFiles(layout.run_dir / "kvm-hypervisor/nic")
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def close(self) -> None:
        """Give the kernel's socket and its thread back; instances keep their taps."""
        await self.netlink.close()

    async def missing_bridges(self, names: Iterable[str]) -> list[str]:
        """Return which of these bridges are not there."""
        return await self.netlink.ask(bridges.missing, names)

    async def check(self, wanted: Sequence[nics.Nic]) -> None:
        """Raise, in an operator's words, what would keep one of these NICs from being attached."""
        bridged = [nic.link for nic in wanted if nic.mode is nics.Mode.BRIDGED]
        if bridged:
            missing = await self.missing_bridges(bridged)
            if missing:
                raise errors.BadInput(f"Missing bridges {', '.join(missing)}")
        if self._scripts.has(scripts.UP):
            return
        for nic in wanted:
            if nic.is_for_communication:
                continue
            match nic.mode:
                case nics.Mode.BRIDGED:
                    await self.netlink.ask(bridges.check, nic)
                case nics.Mode.ROUTED:
                    await asyncio.to_thread(routed.check, nic)
                case nics.Mode.OPENVSWITCH:
                    await openvswitch.check(nic)

    @contextlib.asynccontextmanager
    async def plug(
        self,
        wanted: Sequence[nics.Nic],
        *,
        queues: int = 1,
        vnet_hdr: bool = True,
        vhost: bool = False,
        incoming: bool = False,
    ) -> AsyncIterator[tuple[tapping.Tap, ...]]:
        """Lend new taps, attached, one for each NIC, to start qemu with.

        Whoever starts a process inside and fails afterwards ends it inside, too. For an instance
        that is about to arrive from another node routed NICs are left for `attach_routed`.
        Raises errors.Failure.
        """
        if not wanted:
            yield ()
            return
        opened = await _open(wanted, queues=queues, vnet_hdr=vnet_hdr, vhost=vhost)
        try:
            try:
                for nic, tap in zip(wanted, opened, strict=True):
                    async with self._turn(nic.instance):
                        await self._record(nic, tap.name)
                        if not (incoming and nic.mode is nics.Mode.ROUTED):
                            await self._attach(nic, tap.name)
                yield opened
            finally:
                for tap in opened:
                    tap.close()
        except BaseException:
            for nic in wanted:
                await self.release(nic.instance, nic.index)
            raise

    async def attach_routed(self, instance: str) -> None:
        """Attach the routed NICs of an instance that has arrived; raises errors.Failure."""
        for attached in await self.attached(instance):
            if attached.nic is not None and attached.nic.mode is nics.Mode.ROUTED:
                await self._attach(attached.nic, attached.tap)

    async def attached(self, instance: str) -> list[nicfiles.Attached]:
        """Return an instance's NICs and their taps, by index."""
        return await asyncio.to_thread(self._files.read, instance)

    async def release(self, instance: str, index: int | None = None) -> None:
        """Clean up after an instance whose qemu has ended, or after one NIC that was taken out.

        Best effort: what cannot be cleaned up is logged. Only cancelling raises.
        """
        async with self._turn(instance):
            await self._release(instance, index)

    async def sweep(self) -> list[str]:
        """Release every instance none of whose taps is left; return which those were.

        May run beside everything else. Raises errors.Failure.
        """
        released = []
        for instance in await asyncio.to_thread(self._files.instances):
            async with self._turn(instance):
                taps = [attached.tap for attached in await self.attached(instance)]
                if await self.netlink.ask(_none_is_left, taps):
                    await self._release(instance, None)
                    released.append(instance)
        return released

    def _turn(self, instance: str) -> asyncio.Lock:
        """Return what keeps apart those who change an instance's taps and files."""
        return self._turns.setdefault(instance, asyncio.Lock())

    async def _release(self, instance: str, index: int | None) -> None:
        for attached in await self.attached(instance):
            if index in {None, attached.index}:
                try:
                    await self._forget(attached)
                except errors.Failure as error:
                    _LOG.error(
                        "what a tap left behind cannot be removed",
                        name=instance,
                        tap=attached.tap,
                        error=str(error),
                    )
        try:
            await asyncio.to_thread(self._files.remove, instance, index)
        except OSError as error:
            _LOG.error("a NIC's files cannot be removed", name=instance, error=str(error))

    async def _record(self, nic: nics.Nic, tap: str) -> None:
        """Keep what is about to be attached, after cleaning up after an earlier one."""
        await self._release(nic.instance, nic.index)
        try:
            await asyncio.to_thread(self._files.write, nic, tap)
        except OSError as error:
            raise errors.Unavailable(
                f"{nic.instance}: what its NICs are cannot be written down: {error}"
            ) from error

    async def _attach(self, nic: nics.Nic, tap: str) -> None:
        if not tapping.is_own(nic, tap):
            # A name that the kernel gave may have been another's, of whom nobody knows any more.
            await self.netlink.ask(routed.forget, tap)
        if nic.is_for_communication:
            await self._scripts.run(scripts.COMMUNICATION, nic, tap)
        if await self._scripts.run(scripts.UP, nic, tap) or nic.is_for_communication:
            return
        try:
            match nic.mode:
                case nics.Mode.BRIDGED:
                    await self.netlink.ask(bridges.attach, nic, tap)
                case nics.Mode.ROUTED:
                    await self.netlink.ask(routed.attach, nic, tap)
                case nics.Mode.OPENVSWITCH:
                    await self.netlink.ask(links.set_up, tap)
                    await openvswitch.attach(nic, tap)
        except (netlink.Refused, OSError) as error:
            raise errors.Unavailable(
                f"NIC {nic.index} of {nic.instance} cannot be attached to"
                f" {nic.link or nic.ip}: {error}"
            ) from error
        _LOG.info("a tap was attached", name=nic.instance, tap=tap, mode=nic.mode, link=nic.link)

    async def _forget(self, attached: nicfiles.Attached) -> None:
        tap, nic = attached.tap, attached.nic
        if not await self.netlink.ask(_none_is_left, [tap]):
            _LOG.info("a tap's name is another's by now", name=attached.instance, tap=tap)
            return
        await self.netlink.ask(routed.forget, tap)
        if nic is None:
            return
        try:
            if nic.mode is nics.Mode.OPENVSWITCH and not self._scripts.has(scripts.UP):
                await openvswitch.forget(tap)
        finally:
            await self._scripts.run(scripts.DOWN, nic, tap)


async def _open(
    wanted: Sequence[nics.Nic], *, queues: int, vnet_hdr: bool, vhost: bool
) -> tuple[tapping.Tap, ...]:
    """Open the taps in a thread; one that nobody waits for any more closes what it opened."""

    def work() -> tuple[tapping.Tap, ...]:
        opened: list[tapping.Tap] = []
        try:
            for nic in wanted:
                opened.append(  # noqa: PERF401 - what is open must be known when one fails
                    tapping.open_tap(nic, queues=queues, vnet_hdr=vnet_hdr, vhost=vhost)
                )
        except BaseException:
            for tap in opened:
                tap.close()
            raise
        return tuple(opened)

    opening = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: "asyncio.Future[tuple[tapping.Tap, ...]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        for tap in opening.result():
            tap.close()


def _none_is_left(socket: netlink.Socket, names: Iterable[str]) -> bool:
    return all(links.find(socket, name) is None for name in names)
