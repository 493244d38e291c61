"""Which of the host's processors a qemu, or each of its virtual processors, may run on."""

import os
from typing import Final

from pyganeti.base import errors
from pyganeti.model import cpumask
from pyganeti.noded.qemu import monitor

_ANY: Final = (None,)


def is_any(mask: str) -> bool:
    """Tell whether a mask leaves it to the host which processors are used."""
    return tuple(cpumask.parse(mask or cpumask.ALL)) == _ANY


async def bind(mask: str, pid: int, vcpus: int, talk: monitor.Monitor) -> None:
    """Bind a qemu whose guest does not run yet, as its ``cpu_mask`` says.

    One list counts for the whole process, several for one virtual processor each. Raises BadInput
    for processors that the host has not.
    """
    if is_any(mask):
        return
    wanted = cpumask.parse(mask)
    if len(wanted) == 1:
        only = wanted[0] or frozenset()
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - numbers, not paths
            _bind(int(thread), only, mask)
        return
    if len(wanted) != vcpus:
        raise errors.BadInput(
            f"cpu_mask {mask} is for {len(wanted)} virtual processors, not for {vcpus}"
        )
    for processor in await talk.execute("query-cpus-fast"):
        one = wanted[int(processor["cpu-index"])]
        if one is not None:
            _bind(int(processor["thread-id"]), one, mask)


def _bind(thread: int, processors: frozenset[int], mask: str) -> None:
    try:
        os.sched_setaffinity(thread, processors)
    except OSError as error:
        raise errors.BadInput(f"cpu_mask {mask} cannot be had here: {error.strerror}") from error
