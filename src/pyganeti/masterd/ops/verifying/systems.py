"""Whether the nodes of a group have the same OS definitions, and in order."""

from collections.abc import Sequence

from pyganeti.masterd.ops.verifying import images
from pyganeti.masterd.ops.verifying.findings import Code, Findings


def judge(found: Findings, seen: Sequence[images.Image]) -> None:
    """Tell what is wrong with definitions; all are held against those of the first node."""
    told = [image for image in seen if image.systems is not None]
    for image in told:
        _judge(found, image, told[0])


def _judge(found: Findings, image: images.Image, reference: images.Image) -> None:
    name = image.node.name
    systems, theirs = image.systems or {}, reference.systems or {}
    for os, entries in sorted(systems.items()):
        first = entries[0]
        _, path, is_good, why, *_ = first
        found.when(not is_good, Code.NODE_OS, name, f"Invalid OS {os} (located at {path}): {why}")
        found.when(
            len(entries) > 1,
            Code.NODE_OS,
            name,
            f"OS '{os}' has multiple entries (first one shadows the rest):"
            f" {', '.join(entry[1] for entry in entries)}",
        )
        if found.when(
            os not in theirs,
            Code.NODE_OS,
            name,
            f"Extra OS {os} not present on reference node ({reference.node.name})",
        ):
            continue
        if os in theirs and theirs[os][0][2]:
            _compare(found, name, os, first, theirs[os][0], reference.node.name)
    missing = sorted(theirs.keys() - systems.keys())
    found.when(
        missing,
        Code.NODE_OS,
        name,
        f"OSes present on reference node {reference.node.name} but missing on this node:"
        f" {', '.join(missing)}",
    )


def _compare(
    found: Findings, node: str, os: str, own: images.System, base: images.System, of: str
) -> None:
    *_, variants, parameters, versions, is_trusted = own
    *_, base_variants, base_parameters, base_versions, is_base_trusted = base
    for kind, mine, theirs in (
        ("API version", versions, base_versions),
        ("variants list", variants, base_variants),
        ("parameters", list(map(_pair, parameters)), list(map(_pair, base_parameters))),
    ):
        here, there = sorted(map(str, set(mine))), sorted(map(str, set(theirs)))
        found.when(
            here != there,
            Code.NODE_OS,
            node,
            f"OS {kind} for {os} differs from reference node {of}:"
            f" [{', '.join(here)}] vs. [{', '.join(there)}]",
        )
    found.when(
        is_trusted != is_base_trusted,
        Code.NODE_OS,
        node,
        f"OS trusted for {os} differs from reference node {of}: {is_trusted} vs. {is_base_trusted}",
    )


def _pair(parameter: object) -> str:
    return ": ".join(map(str, parameter)) if isinstance(parameter, list) else str(parameter)
