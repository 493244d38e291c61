"""Keeping enough master candidates: who is to become one, with the certificate it calls with.

A node is a candidate from one change of the configuration on, and its certificate is in the
cluster's map from the same: a candidate that could not call others if it became master never is.
"""

from collections.abc import Container
from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import draft
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config import candidates

_GET: Final = (("ssl", "get", None),)


async def certificate_of(context: contexts.Context, node: calling.Node) -> str:
    """Return the digest of the certificate with which a node calls others; raises Failure."""
    answer = await context.nodes.call(node, "node_crypto_tokens", _GET)
    match answer:
        case [[_, str(digest)]]:
            return digest
    raise errors.Damaged(f"{node.name} does not say which certificate it has: {answer!r:.80}")


async def choose(context: contexts.Context, without: Container[str]) -> dict[str, str]:
    """Return the nodes that have to become candidates, by uuid, with their certificates.

    As if the nodes ``without`` were not there. One that does not answer is warned of and left out.
    """
    found: dict[str, str] = {}
    for node in candidates.next_ones(context.snapshot, without):
        try:
            found[node.uuid] = await certificate_of(context, node)
        except errors.Failure as error:
            context.warn(f"{node.name} cannot become a master candidate: {error}")
    return found


def promote(changed: draft.Draft, chosen: dict[str, str]) -> list[str]:
    """Make nodes candidates; return their names. A node that has gone meanwhile is left out."""
    names: list[str] = []
    certificates = dict(changed.cluster.candidate_certs)
    for uuid, digest in chosen.items():
        node = changed.snapshot.nodes.get(uuid)
        if node is None or node.offline or node.drained:
            continue
        changed.put(msgspec.structs.replace(node, master_candidate=True))
        certificates[uuid] = digest
        names.append(node.name)
    changed.put(msgspec.structs.replace(changed.cluster, candidate_certs=certificates))
    return sorted(names)


def tell(context: contexts.Context, names: list[str], without: Container[str]) -> None:
    """Tell people who became a candidate, and whether there are more than there should be."""
    if names:
        context.info(f"Promoted nodes to master candidate role: {', '.join(names)}")
    counted = candidates.count(context.snapshot, without)
    if counted.present > counted.wanted:
        context.info(
            f"Note: more nodes are candidates ({counted.present}) than desired ({counted.wanted})"
        )
