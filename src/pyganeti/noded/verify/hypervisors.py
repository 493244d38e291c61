"""Whether instances can be run here, with which parameters, and what the node has for them."""

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.noded import machine
from pyganeti.noded.instance import hypervisor, info

_KVM: Final = "kvm"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def facts(
    host: hypervisor.Hypervisor, kind: str, hvparams: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the machine's figures and the version of its qemu.

    Raises BadInput for another hypervisor, Unavailable if its qemu does not answer.
    """
    hypervisor.check(kind)
    known = await host.known.of(_qemu(hvparams))
    return {**await asyncio.to_thread(machine.facts), "hv_version": known.version}


async def problem(
    host: hypervisor.Hypervisor, kind: str, hvparams: Mapping[str, Any] | None
) -> str | None:
    """Return what keeps instances from running here, None if nothing does."""
    found = []
    try:
        hypervisor.check(kind)
        await host.known.of(_qemu(hvparams))
    except errors.Failure as error:
        found.append(f"Error while checking hypervisor: {error}")
    if kind == _KVM and shutil.which("socat", path=_PATH) is None:
        found.append("consoles need the program socat, which is not installed")
    return "; ".join(found) or None


async def wrong_parameters(
    host: hypervisor.Hypervisor, sources: Iterable[tuple[str, str, dict[str, Any]]]
) -> list[tuple[str, str, str]]:
    """Return which sets of parameters this node cannot run instances with, and why not."""
    wrong = []
    for source, kind, hvparams in sources:
        try:
            await hypervisor.validate(host, kind, hvparams)
        except errors.Failure as error:
            wrong.append((source, kind, str(error)))
    return wrong


async def instances(host: hypervisor.Hypervisor, kinds: Iterable[str]) -> list[str]:
    """Return the names of the instances that run."""
    return await info.running(host) if _KVM in kinds else []


def _qemu(hvparams: Mapping[str, Any] | None) -> str:
    return hypervisors.decode(hvparams or {}).kvm_path
