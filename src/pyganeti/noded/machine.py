"""What this node's machine has: memory and processors, as Ganeti's masters count them.

The names are the node RPC's, and so is what they mean: memory in MiB, ``memory_free`` with what
the kernel would give up for an instance (buffers, cached files), ``memory_dom0`` what is in active
use. A node that runs KVM has all its processors for itself, hence ``cpu_dom0``. The figures are
made by `memory` and `processors` from what /proc says, which nothing but the kernel writes.
"""

import re
from pathlib import Path
from typing import Final

from pyganeti.base import errors

_FREE: Final = ("MemFree", "Buffers", "Cached")
_PROCESSOR: Final = re.compile(r"^processor\s*:\s*\d+\s*$", re.MULTILINE)
_SOCKET: Final = re.compile(r"^physical id\s*:\s*(\d+)\s*$", re.MULTILINE)
_DOMAIN: Final = "node[0-9]*"


def facts(
    proc: Path = Path("/proc"), domains: Path = Path("/sys/devices/system/node")
) -> dict[str, int]:
    """Return the machine's figures. Blocks; raises Unavailable if the kernel does not tell."""
    try:
        said = memory((proc / "meminfo").read_text())
        said |= processors((proc / "cpuinfo").read_text())
    except OSError as error:
        raise errors.Unavailable(f"Failed to list node info: {error}") from error
    # One domain where the kernel knows nothing of domains.
    return said | {"cpu_nodes": len(list(domains.glob(_DOMAIN))) or 1}


def memory(meminfo: str) -> dict[str, int]:
    """Return the memory's figures; raises Unavailable if they are not there."""
    pairs = (line.partition(":") for line in meminfo.splitlines())
    try:
        said = {name.strip(): int(value.split()[0]) // 1024 for name, _, value in pairs}
        return {
            "memory_total": said["MemTotal"],
            "memory_free": sum(said[name] for name in _FREE),
            "memory_dom0": said["Active"],
        }
    except (KeyError, ValueError, IndexError) as error:
        raise errors.Unavailable(f"Failed to compute memory usage: {error!r}") from error


def processors(cpuinfo: str) -> dict[str, int]:
    """Return the processors' figures."""
    total = len(_PROCESSOR.findall(cpuinfo))
    # A virtual machine's processors, and those that are no PC's, may name no sockets.
    sockets = len(set(_SOCKET.findall(cpuinfo))) or 1
    return {"cpu_total": total, "cpu_dom0": total, "cpu_sockets": sockets}
