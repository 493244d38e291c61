"""What fell is put right: every cause that a real qemu can show, with every policy."""

import dataclasses
import itertools
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import falls, guests, memorygroups, qemus, recoverers
from lab.cluster import clusters, instances, masters, namespaces
from pyganeti.model.recovery.settings import Action
from pyganeti.watcher.events import Kind

DO = guests.Command

pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("system-recovery"),
]


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Leave what is left here to go with the machines."""


@dataclass(frozen=True)
class Fall:
    """How a guest is made to fall, on a node and with its master's commands."""

    act: Callable[[falls.Guest, masters.Master], object]
    sector: bytes = guests.stubborn()
    hvparams: dict[str, Any] = field(default_factory=dict)


def says(letter: str) -> Callable[[falls.Guest, masters.Master], object]:
    return lambda guest, _: guest.say(letter)


def gets(number: signal.Signals) -> Callable[[falls.Guest, masters.Master], object]:
    return lambda guest, _: guest.send(number)


def shut_down(*more: str) -> Callable[[falls.Guest, masters.Master], object]:
    """Have it shut down by somebody who does not want that to be remembered."""
    return lambda guest, master: master.run(
        "gnt-instance", "shutdown", "--no-remember", "--submit", *more, guest.name
    )


FALLS = {
    "user-poweroff": Fall(says(DO.POWER_OFF)),
    "user-hibernate": Fall(says(DO.HIBERNATE)),
    "guest-reboot": Fall(says(DO.RESET), hvparams={"reboot_behavior": "exit"}),
    "guest-panic": Fall(says(DO.PANIC), hvparams={"kvm_extra": "-device pvpanic"}),
    "watchdog": Fall(
        says(DO.WATCHDOG), hvparams={"kvm_extra": "-device ib700 -action watchdog=poweroff"}
    ),
    "exited": Fall(
        says(DO.EXIT), hvparams={"kvm_extra": "-device isa-debug-exit,iobase=0x501,iosize=1"}
    ),
    "admin-shutdown": Fall(shut_down("--timeout", "60"), guests.polite()),
    "admin-kill": Fall(shut_down("--timeout", "0")),
    "admin-quit": Fall(lambda guest, _: guest.quit()),
    "host-signal": Fall(gets(signal.SIGTERM)),
    "killed": Fall(gets(signal.SIGKILL)),
    "crashed": Fall(gets(signal.SIGSEGV)),
}
UNSEEN, REBOOT, OOM, MOVED = "unknown", "host-reboot", "oom-killed", "migrated"
BY_THEMSELVES = [(cause, action) for cause in FALLS for action in Action]
WITH_THEIR_NODE = [(cause, action) for cause in (UNSEEN, REBOOT) for action in Action]
OUT_OF_MEMORY = [] if memorygroups.why_not() else [(OOM, action) for action in Action]
ALL = [*BY_THEMSELVES, *WITH_THEIR_NODE, *OUT_OF_MEMORY]
ENDS = {Action.RESTART: Kind.RESTARTED, Action.LEAVE: Kind.LEFT, Action.DOWN: Kind.RECORDED_DOWN}


def name_of(cause: str, action: Action) -> str:
    return f"{cause}-{action}"


def status_of(cause: str, action: Action) -> str:
    """Return how an instance is to stand in the end."""
    is_users = cause.startswith("user-")
    return {
        Action.RESTART: "running",
        Action.LEAVE: "USER_down" if is_users else "ERROR_down",
        Action.DOWN: "USER_down" if is_users else "ADMIN_down",
    }[action]


@dataclass(frozen=True)
class Outcome:
    """What came of one guest's fall."""

    told: list[tuple[str, str]]
    status: str
    admin_state: str


def made(
    cluster: clusters.Cluster, cause: str, action: Action, groups: list[Path]
) -> instances.Instance:
    fall = FALLS.get(cause, Fall(lambda guest, _: guest.send(signal.SIGKILL)))
    one = instances.Instance(
        name_of(cause, action),
        cluster.shared,
        fall.sector,
        hvparams=fall.hvparams,
        tags=[f"pyganeti:on-stop:{cause}:{action}"],
    )
    if cause != OOM:
        return one
    groups.append(memorygroups.create(96))
    script = cluster.place / f"qemu-{action}"
    inside = memorygroups.entered(groups[-1], instances.QEMU, script)
    return dataclasses.replace(one, memory=256).but(kvm_path=str(inside))


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcome]]:
    """Have all guests fall side by side, and wait for what comes of each."""
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    groups: list[Path] = []
    try:
        with clusters.Cluster(3) as cluster:
            yield played(cluster, groups)
    finally:
        for group in groups:
            memorygroups.remove(group)


def played(cluster: clusters.Cluster, groups: list[Path]) -> dict[str, Outcome]:
    first, second, third = cluster.nodes
    placed = [
        *((made(cluster, *case, groups), first) for case in BY_THEMSELVES[::2]),
        *((made(cluster, *case, groups), second) for case in BY_THEMSELVES[1::2]),
        *((made(cluster, *case, groups), second) for case in OUT_OF_MEMORY),
        *((made(cluster, *case, groups), third) for case in WITH_THEIR_NODE),
        (instances.Instance(MOVED, cluster.shared, tags=["pyganeti:on-stop:migrated:down"]), first),
    ]
    nodes = {instance.name: node for instance, node in placed}

    def guest(cause: str, action: Action) -> falls.Guest:
        name = name_of(cause, action)
        return falls.Guest(nodes[name], name)

    with masters.started(cluster, placed) as master:
        master.run("gnt-instance", "startup", "--all", "--force-multiple", within=120)
        with recoverers.running(cluster.master) as recoverer:
            cluster.kvmd(third).kill()
            for action in Action:
                guest(UNSEEN, action).send(signal.SIGKILL)
            cluster.kvmd(third).start()
            for cause, action in BY_THEMSELVES:
                FALLS[cause].act(guest(cause, action), master)
            for cause, action in OUT_OF_MEMORY:
                guest(cause, action).say(DO.TOUCH_MEMORY)
            master.run("gnt-instance", "migrate", "-f", "-n", second.name, MOVED)
            for cause, action in ALL:
                if cause != REBOOT:
                    recoverer.wait_for(ENDS[action], name_of(cause, action), within=60)
            # What it had to start again is there no more when the third node has lost its power.
            before = rows(master)
            told = recoverer.told
            third.power_off()
            cluster.start(third)
            cluster.kvmd(third).start()
            for action in Action:
                recoverer.wait_for(ENDS[action], name_of(REBOOT, action), within=60)
            recoverer.wait_for(Kind.STOPPED, MOVED)
            told += [one for one in recoverer.told if one.instance.startswith((REBOOT, MOVED))]
            after = {
                name: row for name, row in rows(master).items() if name.startswith((REBOOT, MOVED))
            }
    return {
        name: Outcome(
            [(one.kind.value, one.cause.value) for one in told if one.instance == name], *row
        )
        for name, row in {**before, **after}.items()
    }


def rows(master: masters.Master) -> dict[str, tuple[str, str]]:
    """Return how each instance stands, and how it is wanted to."""
    found = master.table("gnt-instance", "list", "-o", "name,status,admin_state")
    return {name: (status, admin_state) for name, status, admin_state in found}


@pytest.mark.parametrize(("cause", "action"), ALL)
def test_each_cause_has_the_consequence_that_its_policy_says(
    outcomes: dict[str, Outcome], cause: str, action: Action
) -> None:
    found = outcomes[name_of(cause, action)]
    told = [Kind.STOPPED, *([Kind.RESTARTING] if action is Action.RESTART else []), ENDS[action]]
    # A kvmd that comes up too late tells of a stop that was found, and told, already.
    once = [one for one, _ in itertools.groupby(found.told)] if cause == UNSEEN else found.told
    assert once == [(kind.value, cause) for kind in told]
    assert found.status == status_of(cause, action)
    assert found.admin_state == ("down" if action is Action.DOWN else "up")


def test_one_that_has_moved_goes_on_whatever_its_policy_says(
    outcomes: dict[str, Outcome],
) -> None:
    found = outcomes[MOVED]
    assert (found.status, found.admin_state) == ("running", "up")
    assert set(found.told) == {("stopped", "migrated")}
