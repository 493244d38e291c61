"""The calls about operating systems: which there are, and having one put on an instance's disks."""

import asyncio
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.instance import removal
from pyganeti.noded.oses import definition, environment, packing, preparing, scripts

_CHECKS: Final = frozenset({"parameters"})


async def os_diagnose(node: nodes.Node) -> list[definition.Diagnosis]:
    """Answer every OS definition here, and whether it is usable."""
    return await asyncio.to_thread(definition.diagnose, definition.places(node.paths))


async def os_validate(
    node: nodes.Node,
    required: bool,  # noqa: FBT001 - the protocol's order
    name: str,
    checks: list[str],
    params: dict[str, Any],
    force_variant: bool,  # noqa: FBT001
) -> bool:
    """Answer whether an OS and its parameters are right, false if it is not here and need not be.

    What is wrong with one that is here is a failure.
    """
    unknown = set(checks) - _CHECKS
    if unknown:
        raise errors.BadInput(
            f"Unknown checks required for OS {name}: {', '.join(sorted(unknown))}"
        )
    own, variant = definition.split(name)
    try:
        has = await _load(node, own)
    except errors.Failure:
        if required:
            raise
        return False
    if not force_variant:
        definition.check_choice(has, variant)
    if max(has.versions) < definition.WITH_PARAMETERS:
        return True
    if "parameters" in checks:
        wrong = sorted(params.keys() - {words[0] for words in has.parameters})
        if wrong:
            raise errors.BadInput(
                f"The following parameters are not supported by the OS {own}: {', '.join(wrong)}"
            )
    await scripts.verify(has, checks, environment.of_os(has, name, params))
    return True


async def instance_os_add(
    node: nodes.Node,
    instance: environment.Instance,
    reinstall: bool,  # noqa: FBT001 - the protocol's order
    debug: int,
) -> None:
    """Have an OS put on an instance's disks."""
    has, said = await _prepare(node, instance, debug)
    if reinstall:
        said["INSTANCE_REINSTALL"] = "1"
    await scripts.run_logged(
        has,
        "create",
        said,
        logs=node.paths.log_dir / "os",
        about=f"add-{instance.os}-{instance.name}",
        instance=instance.name,
        timeout=scripts.CREATE_TIMEOUT,
    )


async def instance_run_rename(
    node: nodes.Node, instance: environment.Instance, old_name: str, debug: int
) -> None:
    """Have an instance's state here, and the OS on its disks, learn its new name."""
    await removal.rename(node.hypervisor, old_name, instance.name)
    has, said = await _prepare(node, instance, debug)
    said["OLD_INSTANCE_NAME"] = old_name
    await scripts.run_logged(
        has,
        "rename",
        said,
        logs=node.paths.log_dir / "os",
        about=f"rename-{instance.os}-{old_name}-{instance.name}",
        instance=instance.name,
        timeout=scripts.RENAME_TIMEOUT,
    )


async def os_export(
    node: nodes.Node, instance: environment.Instance, override_env: dict[str, str]
) -> str:
    """Answer the path of an archive with an instance's OS definition and its environment."""
    has, said = await _prepare(node, instance, 0)
    return str(await asyncio.to_thread(packing.pack, has, said | override_env))


async def _prepare(
    node: nodes.Node, instance: environment.Instance, debug: int
) -> tuple[definition.Definition, dict[str, str]]:
    return await preparing.prepare(node.paths, node.storage, instance, debug)


async def _load(node: nodes.Node, name: str) -> definition.Definition:
    return await preparing.load(node.paths, name)


CALLS: Final = (
    calls.Call("os_diagnose", os_diagnose),
    calls.Call("os_validate", os_validate),
    calls.Call("instance_os_add", instance_os_add, calls.by(0)),
    calls.Call("instance_run_rename", instance_run_rename, calls.by(0)),
    calls.Call("os_export", os_export, calls.by(0)),
)
