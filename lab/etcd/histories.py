"""What was written below a key of a real etcd, in the order of revisions."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.etcd import members


@dataclass(frozen=True, slots=True)
class Written:
    """One change of one key; ``value`` None is a deletion, ``created`` the key's first revision."""

    revision: int
    key: str
    value: bytes | None
    created: int = 0


def now(member: members.Member, prefix: str) -> list[Written]:
    """Return all keys below one as they are, each as its last change."""
    said = json.loads(member.control("get", "--prefix", prefix, "-w", "json"))
    found = [_written(item, is_deletion=False) for item in said.get("kvs") or ()]
    return sorted(found, key=lambda written: written.revision)


def since(
    member: members.Member, prefix: str, revision: int, *, within: float = 20.0
) -> list[Written]:
    """Return all changes below a key from a revision on, which must not be compacted."""
    line = [
        "env", "ETCDCTL_API=3", "timeout", "5", members.CONTROL, f"--endpoints={member.endpoint}",
        "watch", "--prefix", prefix, f"--rev={revision}", "-w", "json",
    ]  # fmt: skip
    said = member.ground.run(line, within).stdout
    return sorted(_events(said), key=lambda written: written.revision)


def _events(said: str) -> Iterator[Written]:
    for line in said.splitlines():
        for event in json.loads(line).get("Events") or ():
            yield _written(event["kv"], is_deletion=event.get("type") == 1)


def _written(item: dict[str, Any], *, is_deletion: bool) -> Written:
    return Written(
        item["mod_revision"],
        base64.b64decode(item["key"]).decode(),
        None if is_deletion else base64.b64decode(item.get("value", "")),
        item.get("create_revision", 0),
    )
