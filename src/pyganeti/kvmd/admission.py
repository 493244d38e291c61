"""Whether this node wants the daemon at all: what the cluster's ssconf files say.

Three files decide, as in Ganeti; a node without any ssconf is no cluster's, and there the daemon
runs for whoever started it.
"""

from collections.abc import Callable
from typing import Final

_KVM: Final = "kvm"


def refusal(read: Callable[[str], str | None], hostname: str) -> str | None:
    """Return why the daemon is not wanted here in one sentence, None if it is.

    ``read`` returns the content of an ssconf file by its short name, None if it does not exist.
    """
    hypervisors = read("hypervisor_list")
    switch = read("enabled_user_shutdown")
    capable = read("node_vm_capable")
    if hypervisors is None and switch is None and capable is None:
        return None
    if hypervisors is None or _KVM not in hypervisors.split():
        return "this cluster does not use KVM"
    if switch is None or switch.strip() != "True":
        return "this cluster has user shutdown detection switched off"
    if not _is_capable(capable, hostname):
        return f"node {hostname} is not to run instances"
    return None


def _is_capable(content: str | None, hostname: str) -> bool:
    """Look up this node's line, which has the name that the cluster gave it, letter by letter."""
    for line in (content or "").splitlines():
        name, separator, value = line.partition("=")
        if separator and name.strip() == hostname:
            return value.strip() == "True"
    return False
