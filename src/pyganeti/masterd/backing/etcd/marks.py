"""The two keys in etcd that say that a cluster moves, or has moved.

``moving`` names who moves it, and to where: as long as it is there nobody else begins to lead.
``moved`` is left behind when it has gone back to files, so that a candidate that was away meanwhile
does not lead what is nobody's any more.
"""

import contextlib
from collections.abc import AsyncIterator

import msgspec

from pyganeti.base import errors
from pyganeti.clients.etcd import client, messages
from pyganeti.masterd.backing.etcd import fence, keys
from pyganeti.masterd.election import leadership
from pyganeti.wire import epochs


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What either key says."""

    to: str
    node: str
    epoch: int = 0
    version: int = 1


class Moved(leadership.Gone):
    """The cluster is kept in files again."""


def moving_key(where: keys.Keys) -> bytes:
    """Return the key that says who moves it."""
    return where.root + b"moving"


def moved_key(where: keys.Keys) -> bytes:
    """Return the key that says where it has gone."""
    return where.root + b"moved"


async def check(etcd: client.Client, where: keys.Keys, name: str) -> None:
    """Raise unless a node may begin to lead: Moved for good, Unavailable while it is moved."""
    moved = await read(etcd, moved_key(where))
    if moved is not None:
        raise Moved(f"the cluster is not kept in etcd any more, but in {moved.to} of {moved.node}")
    moving = await read(etcd, moving_key(where))
    if moving is not None and moving.node != name:
        raise errors.Unavailable(f"{moving.node} is moving the cluster to {moving.to}")


async def settle(etcd: client.Client, where: keys.Keys, right: fence.Fence) -> None:
    """Have it said no more that it moves: who leads by this node's file has it in etcd."""
    await etcd.transact(
        messages.Transaction((right.condition,), (messages.Delete(moving_key(where)),))
    )


async def give_up(
    etcd: client.Client, where: keys.Keys, right: fence.Fence, master: epochs.Epoch
) -> None:
    """Have nobody lead by what is in etcd any more: the cluster is in files of another master."""
    mark = Mark(to="files", node=master.master, epoch=master.number)
    put = messages.Put(moved_key(where), msgspec.json.encode(mark))
    await etcd.transact(messages.Transaction((right.condition,), (put,)))


async def announce(etcd: client.Client, where: keys.Keys, mark: Mark) -> None:
    """Say who moves it; raises Unavailable if somebody else does."""
    key = moving_key(where)
    asked = messages.Transaction(
        (messages.is_missing(key),),
        (messages.Put(key, msgspec.json.encode(mark)),),
        (messages.Get(key),),
    )
    outcome = await etcd.transact(asked)
    present = None if outcome.held else decoded(outcome.found[0][0] if outcome.found[0] else None)
    if present is not None and present.node != mark.node:
        raise errors.Unavailable(f"{present.node} is moving the cluster to {present.to}")


@contextlib.asynccontextmanager
async def announced(etcd: client.Client, where: keys.Keys, mark: Mark) -> AsyncIterator[None]:
    """Have it said who moves it; after a failure that is taken back."""
    await announce(etcd, where, mark)
    try:
        yield
    except BaseException:
        with contextlib.suppress(errors.Failure):
            await etcd.transact(
                messages.Transaction(
                    (messages.is_missing(moved_key(where)),),
                    (messages.Delete(moving_key(where)),),
                )
            )
        raise


async def read(etcd: client.Client, key: bytes) -> Mark | None:
    """Return what a key says, None if it is not there; raises Damaged if that is no mark."""
    return decoded(await etcd.get(key))


async def owned(etcd: client.Client, where: keys.Keys, node: str) -> messages.Condition | None:
    """Return the condition that a node still is who moves the cluster, None if it is not."""
    item = await etcd.get(moving_key(where))
    mark = decoded(item)
    if item is None or mark is None or mark.node != node:
        return None
    return messages.Modified(item.key, item.modified)


def decoded(item: messages.Item | None) -> Mark | None:
    """Return the mark that a key's value is; raises Damaged if it is none."""
    if item is None:
        return None
    try:
        return msgspec.json.decode(item.value, type=Mark)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.Damaged(f"{item.key.decode(errors='replace')}: {error}") from error
