"""The sub-command ``gnt-node modify``."""

from typing import Any

import click

from pyganeti.base import errors
from pyganeti.cli import asking, completing, following, options, params, recoverysettings, session
from pyganeti.model.config import defaults
from pyganeti.model.opcodes import base, node


@click.command()
@click.argument("name", shell_complete=completing.nodes)
@options.force
@click.option("-C", "--master-candidate", type=params.YES_NO,
              help="Whether it has the configuration and may become master.")  # fmt: skip
@click.option("-D", "--drained", type=params.YES_NO,
              help="Whether it gets no new instances, since its own are to leave.")  # fmt: skip
@click.option("-O", "--offline", type=params.YES_NO,
              help="Whether nobody talks to it, since it is down.")  # fmt: skip
@click.option("--master-capable", type=params.YES_NO,
              help="Whether it may ever become a master candidate.")  # fmt: skip
@click.option("--vm-capable", type=params.YES_NO,
              help="Whether it may have instances.")  # fmt: skip
@click.option("-s", "--secondary-ip", metavar="ADDRESS", help="Its address for disks' data.")
@click.option("--auto-promote", is_flag=True,
              help="Let others be master candidates in its place.")  # fmt: skip
@click.option("--node-parameters", "ndparams", type=params.SETTINGS,
              help="Parameters of the node; NAME=default: as its group has it.")  # fmt: skip
@click.option("--node-powered", "powered", type=params.YES_NO,
              help="Whether its power is on, as its out-of-band program would say.")  # fmt: skip
@click.option("--hypervisor-state", "hv_state", type=params.IDENTIFIED, multiple=True,
              help="What its machine has: kvm:mem_total=…,cpu_total=….")  # fmt: skip
@click.option("--disk-state", type=params.IDENTIFIED, multiple=True,
              help="What its disks have: plain/GROUP:disk_total=….")  # fmt: skip
@recoverysettings.of_node
@options.job()
@click.pass_obj
def command(
    current: session.Session,
    /,
    *,
    name: str,
    force: bool,
    ndparams: dict[str, Any] | None,
    hv_state: tuple[tuple[str, dict[str, Any]], ...],
    disk_state: tuple[tuple[str, dict[str, Any]], ...],
    how: options.How,
    **given: Any,  # noqa: ANN401 - an option each
) -> int:
    """Change what a node is, may do, and is set to."""
    if ndparams is not None:
        ndparams = params.typed(ndparams, defaults.NODE, "node parameters")
    falling = recoverysettings.taken(given)
    changes = {key: value for key, value in given.items() if value is not None}
    changes.pop("auto_promote")
    is_changed = bool(changes or ndparams or hv_state or disk_state)
    if not (is_changed or falling):
        raise errors.BadInput(
            f"nothing to change; see {current.program} modify --help for what could be"
        )
    if given["offline"] is False:
        asking.confirm(
            current,
            f"{name} will be talked to again. If the configuration has changed since it was, it"
            " may think that it is something else; gnt-node add --readd is safer. Go on?",
            force=force,
        )
    opcodes: list[base.Opcode] = []
    if is_changed:
        opcodes.append(
            node.NodeSetParams(
                node_name=name,
                force=force,
                auto_promote=given["auto_promote"],
                ndparams=ndparams,
                hv_state=_states(hv_state) or None,
                disk_state=_storage(disk_state) or None,
                **changes,
            )
        )
    opcodes += recoverysettings.opcodes(current, "node", name, falling)
    results = following.run(current, opcodes, how) if opcodes else []
    if results is None:
        return 0
    told = [*((is_changed and results[0]) or ()), *falling.changes]
    if how.as_json:
        current.out_json(told)
    elif told:
        current.out(f"Modified node {name}")
        for what, value in told:
            current.out(f" - {what:5} -> {value}")
    return 0


def _states(given: tuple[tuple[str, dict[str, Any]], ...]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, settings in given:
        numbers = params.typed(settings, defaults.HYPERVISOR_STATE, f"state of {name}")
        found.setdefault(name, {}).update(numbers)
    return found


def _storage(
    given: tuple[tuple[str, dict[str, Any]], ...],
) -> dict[str, dict[str, dict[str, int]]]:
    found: dict[str, dict[str, dict[str, int]]] = {}
    known = {"disk_overhead": 0, "disk_reserved": 0, "disk_total": 0}
    for name, settings in given:
        kind, slash, unit = name.partition("/")
        if not slash or not unit:
            raise errors.BadInput(f"{name!r} is not a kind and a name such as plain/xenvg")
        numbers = params.typed(settings, known, f"state of {name}")
        found.setdefault(kind, {}).setdefault(unit, {}).update(numbers)
    return found
