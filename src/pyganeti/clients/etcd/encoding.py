"""Our words for what is asked and answered, as etcd's messages and back. No I/O."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.clients.etcd import failures, messages, stubs

rpc: Final = stubs.protobuf

_RELATIONS: Final = {
    messages.Relation.EQUAL: rpc.Compare.EQUAL,
    messages.Relation.GREATER: rpc.Compare.GREATER,
}
_DELETED: Final = 1  # mvccpb.Event.DELETE


def transaction(asked: messages.Transaction) -> Any:  # noqa: ANN401 - protobuf has no types
    """Return the request for a transaction."""
    return rpc.TxnRequest(
        compare=[_compare(condition) for condition in asked.conditions],
        success=[_operation(operation) for operation in asked.then],
        failure=[_operation(operation) for operation in asked.otherwise],
    )


def outcome(answer: Any, asked: int) -> messages.Outcome:  # noqa: ANN401
    """Return what a transaction came to that was asked so often."""
    return messages.Outcome(
        answer.succeeded,
        answer.header.revision,
        tuple(items(found.response_range.kvs) for found in answer.responses),
        asked,
    )


def range_of(
    key: bytes,
    end: bytes,
    *,
    limit: int = 0,
    revision: int = 0,
    bare: bool = False,
    stale: bool = False,
) -> Any:  # noqa: ANN401
    """Return the request for a range: at most ``limit`` items, as they were at a revision.

    With ``stale`` a member may say what it knows without asking the others.
    """
    return rpc.RangeRequest(
        key=key,
        range_end=end,
        limit=limit,
        revision=revision,
        keys_only=bare,
        serializable=stale,
    )


def items(found: Sequence[Any]) -> tuple[messages.Item, ...]:
    """Return items."""
    return tuple(map(item, found))


def item(found: Any) -> messages.Item:  # noqa: ANN401
    """Return one item."""
    return messages.Item(
        found.key, found.value, found.create_revision, found.mod_revision, found.lease
    )


def grant(lease: int, seconds: int) -> Any:  # noqa: ANN401
    """Return the request for a lease of a number."""
    return rpc.LeaseGrantRequest(ID=lease, TTL=seconds)


def renewal(lease: int) -> Any:  # noqa: ANN401
    """Return the request to let a lease begin anew."""
    return rpc.LeaseKeepAliveRequest(ID=lease)


def revocation(lease: int) -> Any:  # noqa: ANN401
    """Return the request to end a lease."""
    return rpc.LeaseRevokeRequest(ID=lease)


def remainder(lease: int) -> Any:  # noqa: ANN401
    """Return the question how long a lease still lasts."""
    return rpc.LeaseTimeToLiveRequest(ID=lease)


def compaction(revision: int) -> Any:  # noqa: ANN401
    """Return the request to forget what was before a revision."""
    return rpc.CompactionRequest(revision=revision)


def watch(key: bytes, end: bytes, since: int, *, only_deletions: bool) -> Any:  # noqa: ANN401
    """Return the request to be told of what happens from a revision on."""
    filters = [rpc.WatchCreateRequest.NOPUT] if only_deletions else []
    return rpc.WatchRequest(
        create_request=rpc.WatchCreateRequest(
            key=key, range_end=end, start_revision=since, filters=filters
        )
    )


def check_watch(answer: Any, since: int) -> None:  # noqa: ANN401
    """Raise Compacted or Unanswered if a watch, from a revision on, is over."""
    if answer is stubs.EndOfStream:
        raise failures.Unanswered("etcd watches no longer")
    if answer.compact_revision:
        raise failures.Compacted(f"etcd has forgotten what was before {since}")
    if answer.canceled:
        raise failures.Unanswered(answer.cancel_reason or "etcd watches no longer")


def news(answer: Any) -> messages.News:  # noqa: ANN401
    """Return what a watch tells."""
    return messages.News(
        tuple(
            messages.Event(item(event.kv), is_deletion=event.type == _DELETED)
            for event in answer.events
        ),
        answer.header.revision,
    )


def status_question() -> Any:  # noqa: ANN401
    """Return the question how a member is."""
    return rpc.StatusRequest()


def alarms_question() -> Any:  # noqa: ANN401
    """Return the question what is wrong with the whole."""
    return rpc.AlarmRequest(action=rpc.AlarmRequest.GET)


def member(status: Any, alarms: Any) -> messages.Member:  # noqa: ANN401
    """Return what a member says of itself."""
    return messages.Member(
        version=status.version,
        size=status.dbSize,
        leads=status.leader == status.header.member_id,
        has_leader=status.leader != 0,
        revision=status.header.revision,
        alarms=tuple(sorted({rpc.AlarmType.Name(one.alarm) for one in alarms.alarms})),
    )


def _compare(condition: messages.Condition) -> Any:  # noqa: ANN401
    match condition:
        case messages.Created(key, revision, relation):
            return rpc.Compare(
                key=key,
                result=_RELATIONS[relation],
                target=rpc.Compare.CREATE,
                create_revision=revision,
            )
        case messages.Modified(key, revision):
            return rpc.Compare(
                key=key,
                result=rpc.Compare.EQUAL,
                target=rpc.Compare.MOD,
                mod_revision=revision,
            )


def _operation(operation: messages.Operation) -> Any:  # noqa: ANN401
    match operation:
        case messages.Put(key, value, lease):
            return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))
        case messages.Delete(key, end):
            return rpc.RequestOp(
                request_delete_range=rpc.DeleteRangeRequest(key=key, range_end=end)
            )
        case messages.Get(key, end, bare):
            return rpc.RequestOp(
                request_range=rpc.RangeRequest(key=key, range_end=end, keys_only=bare)
            )
