"""How an instance is now, after the last stop that is on record, in plain words. Pure."""

from dataclasses import dataclass
from typing import Final

from pyganeti.model import stop as stops
from pyganeti.words import moments, pages

_DOWN: Final = {
    "USER_down": "It is down (USER_down): its user wants it so.",
    "ADMIN_down": "It is down (ADMIN_down): an administrator wants it so.",
    "ADMIN_offline": "It is marked to be offline (ADMIN_offline).",
    "ERROR_down": "It is down, and should run (ERROR_down).",
    "ERROR_nodedown": (
        "Whether it runs is not known (ERROR_nodedown): its node, {node}, does not answer."
    ),
    "ERROR_nodeoffline": (
        "Whether it runs is not known (ERROR_nodeoffline): its node, {node}, is marked offline."
    ),
}
_UP: Final = {
    "running": "It runs",
    "ERROR_up": "It runs, and should be down (ERROR_up)",
    "ERROR_wrongnode": "It runs, but not on {node}, where it should (ERROR_wrongnode)",
}


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as it is now.

    ``status`` is "" if that could not be found out, ``since`` when its qemu began, in seconds since
    1970, if that is known; ``gave_up`` when the watcher gave up restarting it, if it has. ``off``
    are the switches that keep its stops from being recorded.
    """

    name: str
    status: str
    node: str
    since: float | None = None
    gave_up: float | None = None
    off: tuple[str, ...] = ()


def sentences(instance: Instance | None, stop: stops.Stop | None, now: float) -> list[str]:
    """Return how an instance is now; None is one that there is not any more."""
    if instance is None:
        return ["There is no instance of that name now."]
    told = []
    node = pages.shown(instance.node)
    if up := _UP.get(instance.status):
        told.append(up.format(node=node) + _since(instance, stop, now) + ".")
    elif down := _DOWN.get(instance.status):
        told.append(down.format(node=node))
    else:
        told.append(f"How it is now is not known; its node is {node}.")
    if instance.gave_up is not None:
        told.append(
            "The watcher gave up starting it again at"
            f" {moments.day_and_time(instance.gave_up)} ({moments.ago(instance.gave_up, now)});"
            " once it is started by hand, or with gnt-instance modify --forgive, it tries again."
        )
    if instance.off:
        told.append(
            f"Why it stops is recorded from its next start on once {' and '.join(instance.off)}"
            f" {'are' if len(instance.off) > 1 else 'is'} on."
        )
    return told


def _since(instance: Instance, stop: stops.Stop | None, now: float) -> str:
    if instance.since is None:
        return ""
    when = f"{moments.day_and_time(instance.since)} ({moments.ago(instance.since, now)})"
    if stop is None or instance.since < stop.stopped:
        return f", since {when}"
    passed = moments.duration(instance.since - stop.stopped)
    return f" again, since {when}, {passed} after the stop"
