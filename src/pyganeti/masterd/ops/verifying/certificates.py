"""Whether the nodes' own certificates are those that the configuration lets in."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyganeti.masterd.ops.verifying import findings
from pyganeti.model.config.node import Node

_REBUILD: Final = (
    "To rebuild node certificates, please run 'gnt-cluster renew-crypto --new-node-certificates'."
)


def judge(
    found: findings.Findings,
    allowed: Mapping[str, str],
    nodes: Iterable[Node],
    said: Mapping[str, Any],
) -> None:
    """Tell what is wrong with the nodes' certificates.

    ``allowed`` has, by the candidates' uuids, what their certificates' digests should be; ``said``,
    by uuid, what nodes answered: no code and the digest, or a code and what is wrong.
    """
    wrong = [*_map(allowed)]
    if allowed:
        for node in nodes:
            if not node.offline and node.uuid in said:
                wrong += _of_node(allowed, node, said[node.uuid])
        if wrong:
            wrong.append(_REBUILD)
    for text in wrong:
        found.add(findings.Code.CLUSTER_CLIENT_CERTIFICATE, None, text)


def _map(allowed: Mapping[str, str]) -> Iterable[str]:
    if not allowed:
        yield (
            "The cluster's list of master candidate certificates is empty."
            f" This may be because you just updated the cluster. {_REBUILD}"
        )
    elif len(set(allowed.values())) < len(allowed):
        yield "There are at least two master candidates configured to use the same certificate."


def _of_node(allowed: Mapping[str, str], node: Node, answer: Any) -> Iterable[str]:  # noqa: ANN401 - JSON
    match answer:
        case [None, str(digest)]:
            pass
        case [code, text]:
            yield (
                f"Client certificate of node '{node.name}' failed validation: {text}"
                f" (code '{code}')"
            )
            return
        case _:
            yield f"Node '{node.name}' says nothing of its client certificate."
            return
    expected = allowed.get(node.uuid)
    is_others = expected is None and digest in allowed.values()
    if node.master_candidate:
        if expected is None:
            yield (
                f"The master candidate '{node.name}' does not have an entry in the map of"
                " candidate certificates."
            )
        elif digest != expected:
            yield (
                f"Client certificate digest of master candidate '{node.name}' does not match its"
                " entry in the cluster's map of master candidate certificates."
                f" Expected: {expected} Got: {digest}"
            )
        if is_others:
            yield f"Master candidate '{node.name}' is using a certificate of another node."
        return
    if expected is not None:
        yield (
            f"Node '{node.name}' is not a master candidate, but still listed in the map of master"
            " candidate certificates."
        )
    if is_others:
        yield (
            f"Node '{node.name}' is not a master candidate and is incorrectly using a certificate"
            " of another node which is master candidate."
        )
