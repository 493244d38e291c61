"""Moving a cluster from files into etcd and back, while nobody leads; its instances go on.

While it moves, and when it has, two keys say so (`marks`).

Into etcd: everything is put there, under the lease of whoever moves it; then this node's file that
says where the cluster is kept decides. Back: everything is written into files; then the key
``moved`` decides, in one transaction with the removal of what was in etcd. So whoever is killed at
any moment leaves the cluster in the one or in the other, and doing the same again finishes it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyganeti.base import errors, files, log, paths
from pyganeti.clients import configlabel, promises
from pyganeti.clients.etcd import client, messages, reaching
from pyganeti.masterd.backing.etcd import fence, jobvalues, keys, marks, shelf, store
from pyganeti.masterd.config import filestore
from pyganeti.masterd.election import leased
from pyganeti.masterd.jobs import files as jobfiles
from pyganeti.model.config import datafile, entries
from pyganeti.wire import epochs, leaderkeys, storefile

_LOG = log.get(__name__)

_WINNING: Final = 60.0
"""Seconds until nobody else leads any more: one that was killed has its lease for some."""

_REACHING: Final = 3.0
"""Seconds in which an etcd has to answer that a cluster is to be moved to."""

Say = Callable[[str], None]
Stop = Callable[[], Awaitable[None]]


async def to_etcd(
    layout: paths.Paths,
    kept: storefile.Etcd,
    stop: Stop,
    say: Say,
    *,
    seconds: int = leased.TTL,
) -> None:
    """Move a cluster from this node's files into etcd; ``stop`` has its master daemon end.

    Raises a Failure or OSError, and then it is as it was, or was done before.
    """
    if await _is_there(layout, kept, say):
        return
    async with client.Client(reaching.access_of(kept, layout)) as etcd:
        where = keys.Keys(kept.prefix)
        # What is not reached is not worth stopping a daemon for.
        await etcd.get(where.epoch, patience=_REACHING)
        await stop()
        # Whoever keeps daemons up may want to start it again meanwhile, or somebody moves it, too.
        async with filestore.FileStore(layout).lease():
            if await _is_there(layout, kept, say):
                return
            await _move_to_etcd(etcd, where, layout, kept, say, seconds)


async def _move_to_etcd(
    etcd: client.Client,
    where: keys.Keys,
    layout: paths.Paths,
    kept: storefile.Etcd,
    say: Say,
    seconds: int,
) -> None:
    path = layout.store_file
    found = await asyncio.to_thread(_read_files, layout)
    await _claim(etcd, where, layout, found.epoch)
    async with (
        _withdrawn_unless(path.exists, etcd, where, layout.hostname),
        _leading(etcd, where, layout, seconds) as leading,
    ):
        right = fence.Fence(where.leader, leading.revision, leading.check)
        say(f"writing {len(found.jobs)} jobs and the configuration into etcd")
        await _write_jobs(shelf.EtcdShelf(etcd, where, right, layout.queue_dir), found)
        await store.EtcdStore(etcd, where, right).create(found.held)
        leading.check()
        await asyncio.to_thread(files.write_durably, path, storefile.encode(kept), storefile.MODE)
        await marks.settle(etcd, where, right)
    await asyncio.to_thread(_remove_jobs, layout)


async def to_files(layout: paths.Paths, stop: Stop, say: Say, *, seconds: int = leased.TTL) -> None:
    """Move a cluster from etcd into this node's files; ``stop`` has its master daemon end.

    It is told to when nobody else begins to lead any more.

    Raises a Failure or OSError, and then it is as it was, or was done before.
    """
    kept = await asyncio.to_thread(_present, layout.store_file)
    if kept is None:
        say("the cluster is in files already")
        return
    name = layout.hostname
    async with client.Client(reaching.access_of(kept, layout)) as etcd:
        where = keys.Keys(kept.prefix)
        moved = await marks.read(etcd, marks.moved_key(where))
        if moved is None:
            await _move_to_files(etcd, where, layout, stop, say, seconds)
        elif moved.node != name:
            raise errors.BadInput(f"the cluster was moved to files of {moved.node}")
    await asyncio.to_thread(_remove_durably, layout)


async def _move_to_files(
    etcd: client.Client,
    where: keys.Keys,
    layout: paths.Paths,
    stop: Stop,
    say: Say,
    seconds: int,
) -> None:
    name = layout.hostname
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            marks.announced(etcd, where, marks.Mark(to="files", node=name))
        )
        await stop()
        leading = await stack.enter_async_context(_leading(etcd, where, layout, seconds))
        right = fence.Fence(where.leader, leading.revision, leading.check)
        held, _ = await store.EtcdStore(etcd, where, right).read()
        _check_master(held, name)
        jobs = shelf.EtcdShelf(etcd, where, right, layout.queue_dir)
        await jobs.open()
        try:
            say(f"writing {len(await jobs.numbers())} jobs and the configuration into files")
            await _write_job_files(jobs, layout)
        finally:
            jobs.close()
        await promises.learn(layout, epochs.of(leading.epoch, name))
        await asyncio.to_thread(_write_configuration, layout, held, leading.epoch)
        await _leave(etcd, where, right, marks.Mark(to="files", node=name, epoch=leading.epoch))


async def _leave(
    etcd: client.Client, where: keys.Keys, right: fence.Fence, mark: marks.Mark
) -> None:
    """Have it decided that the cluster is in files: say so, and remove what is in etcd."""
    outcome = await etcd.transact(
        messages.Transaction(
            (right.condition,),
            (
                messages.Put(marks.moved_key(where), msgspec.json.encode(mark)),
                messages.Delete(marks.moving_key(where)),
                *_everything(where),
            ),
            (messages.Get(marks.moved_key(where)),),
        )
    )
    if not outcome.held and not outcome.found[0]:
        right.check()
        raise errors.Unavailable("etcd did not take it that the cluster has moved")


@contextlib.asynccontextmanager
async def _withdrawn_unless(
    is_decided: Callable[[], bool], etcd: client.Client, where: keys.Keys, name: str
) -> AsyncIterator[None]:
    """Have what was put into etcd be taken back after a failure, unless it is decided already.

    Only as long as this node is who moves the cluster: what is there may be another's by then.
    """
    try:
        yield
    except BaseException:
        if not is_decided():
            with contextlib.suppress(errors.Failure):
                ours = await marks.owned(etcd, where, name)
                if ours is not None:
                    gone = (*_everything(where), messages.Delete(marks.moving_key(where)))
                    await etcd.transact(messages.Transaction((ours,), gone))
        raise


def _everything(where: keys.Keys) -> tuple[messages.Delete, ...]:
    """Return what removes a cluster's configuration and queue."""
    return (
        messages.Delete(where.config, messages.end_of(where.config)),
        messages.Delete(where.queue, messages.end_of(where.queue)),
    )


@dataclass(frozen=True, slots=True)
class _Files:
    """What lies in this node's files."""

    held: dict[str, bytes]
    jobs: dict[int, bytes]
    serial: int
    is_drained: bool
    epoch: int


def _check_master(held: dict[str, bytes], name: str) -> None:
    """Raise BadInput unless a node is the master by a configuration."""
    master = entries.to_snapshot(held).master.name
    if master != name:
        raise errors.BadInput(f"the master is {master}: this is done there", "wrong_state")


def _read_files(layout: paths.Paths) -> _Files:
    held = datafile.parse(layout.config_data.read_bytes())
    _check_master(held, layout.hostname)
    directory = jobfiles.Directory(layout.queue_dir)
    directory.open()
    try:
        numbers = sorted(directory.numbers())
        jobs = {n: data for n in numbers if (data := directory.content(n)) is not None}
        known = promises.read(layout.epoch_file).known
        return _Files(
            held,
            jobs,
            directory.last_number(numbers),
            directory.is_drained(),
            0 if known is None else known.number,
        )
    finally:
        directory.close()


async def _claim(etcd: client.Client, where: keys.Keys, layout: paths.Paths, epoch: int) -> None:
    """Have the keys be ours and empty, but for the number of the last epoch."""
    name = layout.hostname
    found = await etcd.range(where.root, messages.end_of(where.root), bare=True)
    nobodys = leaderkeys.standbys(where.root)
    there = {item.key for item in found.items if not item.key.startswith(nobodys)}
    may_be_there = {marks.moved_key(where), where.epoch}
    if there - may_be_there:
        moving = await marks.read(etcd, marks.moving_key(where))
        if moving is None or moving.node != name:
            raise errors.BadInput(
                f"there is something in etcd already below {where}; remove it, or choose another"
                " prefix",
                "already_exists",
            )
    await marks.announce(etcd, where, marks.Mark(to="etcd", node=name))
    highest = max(epoch, leased.decode_epoch(await etcd.get(where.epoch)))
    operations: tuple[messages.Operation, ...] = (
        messages.Delete(marks.moved_key(where)),
        *_everything(where),
        messages.Put(where.epoch, leased.encode_epoch(highest)),
    )
    ours = await marks.owned(etcd, where, name)
    if ours is None or not (await etcd.transact(messages.Transaction((ours,), operations))).held:
        raise errors.Unavailable("somebody else began to move the cluster")


@contextlib.asynccontextmanager
async def _leading(
    etcd: client.Client, where: keys.Keys, layout: paths.Paths, seconds: int
) -> AsyncIterator[leased.Leased]:
    name = layout.hostname
    election = leased.Election(etcd, str(where), name, name, seconds=seconds)
    watching = asyncio.create_task(election.watch())
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_WINNING):
                    leading = await stack.enter_async_context(election.held())
            except TimeoutError as error:
                leader = election.leader
                who = "etcd does not answer" if leader is None else f"{leader.name} leads it"
                raise errors.Unavailable(f"the cluster cannot be moved: {who}") from error
            yield leading
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def _write_jobs(jobs: shelf.EtcdShelf, found: _Files) -> None:
    await jobs.open()
    try:
        writes = [jobfiles.Write(number, data, is_new=True) for number, data in found.jobs.items()]
        results = await jobs.write(writes, found.serial)
        for number, trouble in results.items():
            if trouble is not None:
                raise errors.Unavailable(f"job {number} was not written into etcd: {trouble}")
        if found.is_drained:
            await jobs.set_drained(drained=True)
    finally:
        jobs.close()


async def _write_job_files(jobs: shelf.EtcdShelf, layout: paths.Paths) -> None:
    numbers = await jobs.numbers()
    loaded = await jobs.load()
    contents = await jobs.contents(numbers)
    directory = jobs.archived.directory

    def write() -> None:
        _remove_jobs(layout)
        writes = [
            jobfiles.Write(number, jobvalues.unpack(value), is_new=True)
            for number, value in contents.items()
        ]
        for number, trouble in directory.write(writes, loaded.serial).items():
            if trouble is not None:
                raise errors.Unavailable(f"job {number} cannot be written: {trouble}")
        directory.set_drained(drained=jobs.is_drained())

    await asyncio.to_thread(write)


def _write_configuration(layout: paths.Paths, held: dict[str, bytes], epoch: int) -> None:
    data = datafile.Pieces(held).render()
    configlabel.replacing(layout, data, epoch, lambda: filestore.replace(layout, data))


def _remove_jobs(layout: paths.Paths) -> None:
    """Remove jobs that are not archived from the queue's directory: they are elsewhere now."""
    for path in layout.queue_dir.glob("job-*"):
        path.unlink(missing_ok=True)
    for name in ("serial", "drain", "candidates"):
        (layout.queue_dir / name).unlink(missing_ok=True)


async def _is_there(layout: paths.Paths, kept: storefile.Etcd, say: Say) -> bool:
    """Tell whether the cluster is in that etcd already; raises BadInput if it is in another."""
    present = await asyncio.to_thread(_present, layout.store_file)
    if present is None:
        return False
    if present.prefix != kept.prefix:
        raise errors.BadInput(f"the cluster is kept in etcd already, below {present.prefix}")
    say("the cluster is in etcd already")
    return True


def _remove_durably(layout: paths.Paths) -> None:
    layout.store_file.unlink(missing_ok=True)
    files.sync_directory(layout.store_file.parent)


def _present(path: Path) -> storefile.Etcd | None:
    """Return what this node's file says, None if there is none."""
    try:
        return storefile.decode(path.read_bytes())
    except FileNotFoundError:
        return None
