"""Running hooks around an operation, by Ganeti's rules.

A hook that fails before the execution aborts it; one that fails afterwards is told of, and that is
all. A node that cannot be reached, or has no hooks, stops nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from pyganeti.base import errors
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation

VERSION: Final = "2"
_PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"
FAILED: Final = 1
"""What a hook ended as, on the wire: 0 was skipped, 1 failed, 2 succeeded."""

_CONFIG_UPDATE: Final = "config-update"


class Aborted(errors.Failure):
    """A hook said no; nothing was done."""

    wire_code: ClassVar[str] = "HooksAbort"

    def __init__(self, said: Sequence[tuple[str, str, str]]) -> None:
        self.said = list(said)
        words = "; ".join(
            f"{script} on {node}: {output.strip() or '(no output)'}"
            for node, script, output in said
        )
        super().__init__(f"hooks said no: {words}")

    @property
    def wire_args(self) -> list[Any]:
        """Node, script and output of each."""
        return [[list(one) for one in self.said]]


async def before(context: contexts.Context, opcode: str, hooks: operation.Hooks) -> None:
    """Run the hooks that may forbid the operation; raises Aborted if one does."""
    environment = _environment(context, opcode, "pre", hooks)
    environment.update(_prefixed("GANETI_", hooks.environment))
    failed = await _run(context, hooks.path, "pre", hooks.before, environment)
    if failed:
        raise Aborted(failed)


async def after(
    context: contexts.Context,
    opcode: str,
    hooks: operation.Hooks,
    now: operation.Hooks,
) -> None:
    """Run the hooks that are told of the operation's end: how things were before, and are now."""
    environment = _environment(context, opcode, "post", hooks)
    environment.update(_prefixed("GANETI_", hooks.environment))
    environment.update(_prefixed("GANETI_POST_", now.environment))
    for node, script, output in await _run(context, hooks.path, "post", now.after, environment):
        context.warn(f"On {node} script {script} failed, output: {output or '(no output)'}")


async def answers_after(
    context: contexts.Context, opcode: str, hooks: operation.Hooks
) -> dict[str, calling.Answer]:
    """Run the hooks that are told of an operation's end; return what nodes answered, by uuid.

    For who makes more of it than warnings.
    """
    environment = _environment(context, opcode, "post", hooks)
    environment.update(_prefixed("GANETI_", hooks.environment))
    environment.update(_prefixed("GANETI_POST_", hooks.environment))
    nodes = [context.snapshot.nodes[uuid] for uuid in hooks.after if uuid in context.snapshot.nodes]
    return await context.nodes.each(nodes, "hooks_runner", (hooks.path, "post", environment))


async def config_changed(context: contexts.Context, opcode: str) -> None:
    """Run the master's hooks for a changed configuration."""
    hooks = operation.Hooks(path=_CONFIG_UPDATE, kind="")
    environment = _environment(context, opcode, "post", hooks)
    master = context.snapshot.cluster.master_node
    for _, script, output in await _run(context, _CONFIG_UPDATE, "post", [master], environment):
        context.warn(f"{script} failed, output: {output or '(no output)'}")


async def _run(
    context: contexts.Context,
    path: str,
    phase: str,
    uuids: Iterable[str],
    environment: Mapping[str, str],
) -> list[tuple[str, str, str]]:
    """Return node, script and output of what failed."""
    snapshot = context.snapshot
    # A node may have left the cluster in between.
    nodes = [snapshot.nodes[uuid] for uuid in dict.fromkeys(uuids) if uuid in snapshot.nodes]
    answers = await context.nodes.each(nodes, "hooks_runner", (path, phase, environment))
    failed = []
    for node in nodes:
        answer = answers[node.uuid]
        if answer.offline:
            continue
        if answer.error is not None:
            context.warn(f"Communication failure to node {node.name}: {answer.error}")
            continue
        failed += [
            (node.name, str(script), str(output))
            for script, status, output in answer.payload
            if status == FAILED
        ]
    return failed


def _environment(
    context: contexts.Context, opcode: str, phase: str, hooks: operation.Hooks
) -> dict[str, str]:
    snapshot = context.snapshot
    said = {
        "PATH": _PATH,
        "GANETI_HOOKS_VERSION": VERSION,
        "GANETI_OP_CODE": opcode,
        "GANETI_DATA_DIR": str(context.layout.state_dir),
        "GANETI_HOOKS_PHASE": phase,
        "GANETI_HOOKS_PATH": hooks.path,
        "GANETI_CLUSTER": snapshot.cluster.cluster_name,
        "GANETI_MASTER": snapshot.master.name,
    }
    if hooks.kind:
        said["GANETI_OBJECT_TYPE"] = hooks.kind
    return said


def _prefixed(prefix: str, environment: Mapping[str, object]) -> dict[str, str]:
    return {prefix + key: str(value) for key, value in environment.items()}
