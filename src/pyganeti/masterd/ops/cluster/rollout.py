"""Bringing a new key and certificate of the cluster's to all nodes, while they go on.

The new one waits on the master as ``server.pem.new`` until everybody has it. It is brought in three
steps, and no node takes one before all nodes have taken the one before: trust the new certificate
beside the old one; speak with it, and trust the old one still; forget the old one. So at any moment
every node is trusted by every other, whatever was cut off: whoever does it again goes on from what
the master has, which takes each step last. Nodes that are marked offline are left out, and have to
be added again when they are back.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files, paths, pem
from pyganeti.clients import node as nodeclient
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config import node as confignode

_CALL: Final = "node_server_certificate"


@dataclass(frozen=True, slots=True)
class Rollout:
    """What each step has a node's file be; ``trust`` is None where it is past that."""

    waiting: Path
    trust: str | None = field(repr=False)
    speak: str | None = field(repr=False)
    forget: str = field(repr=False)


def place_of(layout: paths.Paths) -> Path:
    """Return where a new one waits."""
    return layout.server_certificate.with_name("server.pem.new")


def read(layout: paths.Paths) -> Rollout | None:
    """Return what is to be done, None if nothing waits. Blocks; raises Unavailable or BadInput."""
    waiting = place_of(layout)
    try:
        new = waiting.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise errors.Unavailable(f"{waiting} cannot be read: {error}") from error
    try:
        present = layout.server_certificate.read_text(encoding="ascii")
    except (OSError, UnicodeError) as error:
        raise errors.Unavailable(f"{layout.server_certificate} cannot be read: {error}") from error
    return plan(waiting, present, new)


def plan(waiting: Path, present: str, new: str) -> Rollout:
    """Return the steps from what the master has; raises BadInput if one is no certificate."""
    own, coming = pem.certificates(present), pem.certificates(new)
    if not own or not coming:
        raise errors.BadInput(f"{waiting} or the cluster's own file has no certificate")
    forget = pem.key(new) + coming[0]
    if own[0] != coming[0]:
        trust = pem.key(present) + own[0] + coming[0]
        return Rollout(waiting, trust, forget + own[0], forget)
    if len(own) > 1:
        return Rollout(waiting, None, forget + own[1], forget)
    return Rollout(waiting, None, None, forget)


async def begin(context: contexts.Context, rollout: Rollout) -> None:
    """Have all nodes speak with the new certificate, and trust the old one still."""
    if rollout.trust is not None:
        context.say("* having all nodes trust the new cluster certificate")
        await _step(context, rollout.trust)
    if rollout.speak is not None:
        context.say("* having all nodes use the new cluster certificate")
        await _step(context, rollout.speak)


async def end(context: contexts.Context, rollout: Rollout) -> None:
    """Have all nodes forget the old certificate."""
    context.say("* having all nodes forget the old cluster certificate")
    await _step(context, rollout.forget)
    await asyncio.to_thread(_remove, rollout.waiting)


async def renew_own(context: contexts.Context) -> None:
    """Have this daemon show and trust what its files say now."""
    context.nodes.renew(await asyncio.to_thread(nodeclient.context_of, context.layout))


async def _step(context: contexts.Context, content: str) -> None:
    """Have all other nodes take a step, then the master; raises Refused with who has not."""
    master = context.snapshot.master
    others = [
        node for node in context.online(context.snapshot.nodes.values()) if node is not master
    ]
    for nodes in (others, [master]):
        await _take(context, nodes, content)
    await renew_own(context)


async def _take(context: contexts.Context, nodes: list[confignode.Node], content: str) -> None:
    answers = await context.nodes.each(nodes, _CALL, (content,))
    failed = [f"{one.name}: {answers[one.uuid].error}" for one in nodes if answers[one.uuid].failed]
    if failed:
        raise errors.Refused(
            f"the new cluster certificate is not everywhere yet, and the old one still holds:"
            f" {'; '.join(failed)}; bring these nodes back or mark them offline, and do it again"
        )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        files.sync_directory(path.parent)
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be removed: {error.strerror}") from error
