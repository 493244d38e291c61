"""The calls that run the site's programs: hooks, allocators, commands here and out of band."""

from typing import Any, Final

from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.instance import removal
from pyganeti.noded.programs import allocators, commands, hooks


async def hooks_runner(
    node: nodes.Node, hpath: str, phase: str, env: dict[str, str]
) -> list[hooks.Told]:
    """Run the hooks of a step; answer ``[[name, 0 skipped | 1 failed | 2 succeeded, output]…]``."""
    removed = removal.of_hooks(hpath, phase, env)
    if removed:
        await removal.forget(node.hypervisor, removed)
    return await hooks.run(node.paths, hpath, phase, env)


async def iallocator_runner(
    node: nodes.Node, name: str, idata: str, params: dict[str, str | None]
) -> str:
    """Answer what an allocator says about a cluster's state."""
    return await allocators.run(node.paths, name, idata, params)


async def restricted_command(node: nodes.Node, cmd: str) -> str:
    """Run one of the commands that the site allows; answer its output."""
    return await commands.run_restricted(node.paths, cmd)


async def run_oob(
    _node: nodes.Node, oob_program: str, command: str, remote_node: str, timeout: float
) -> Any:  # noqa: ANN401 - whatever the program's JSON is
    """Have a program reach a node out of band; answer what it says."""
    return await commands.run_out_of_band(oob_program, command, remote_node, timeout)


CALLS: Final = (
    calls.Call("hooks_runner", hooks_runner),
    calls.Call("iallocator_runner", iallocator_runner),
    calls.Call("restricted_command", restricted_command),
    calls.Call("run_oob", run_oob),
)
