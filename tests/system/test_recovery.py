"""What fell is put right: every cause that a real qemu can show, with every policy."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab import falls, guests, qemus, recoverers
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
CASES = [(cause, action) for cause in FALLS for action in Action]
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


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Outcome]]:
    """Have all guests fall side by side, and wait for what comes of each."""
    if why_not := namespaces.why_not() or qemus.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(2) as cluster:
        placed = [
            (
                instances.Instance(
                    name_of(cause, action),
                    cluster.shared,
                    FALLS[cause].sector,
                    hvparams=FALLS[cause].hvparams,
                    tags=[f"pyganeti:on-stop:{cause}:{action}"],
                ),
                cluster.nodes[index % 2],
            )
            for index, (cause, action) in enumerate(CASES)
        ]
        with masters.started(cluster, placed) as master:
            start = ("gnt-instance", "startup", "--all", "--force-multiple")
            master.run(*start, within=120)
            with recoverers.running(cluster.master) as recoverer:
                nodes = {instance.name: node for instance, node in placed}
                for cause, action in CASES:
                    name = name_of(cause, action)
                    FALLS[cause].act(falls.Guest(nodes[name], name), master)
                for cause, action in CASES:
                    recoverer.wait_for(ENDS[action], name_of(cause, action), within=60)
                rows = master.table("gnt-instance", "list", "-o", "name,status,admin_state")
                told = recoverer.told
        yield {
            name: Outcome(
                [(one.kind.value, one.cause.value) for one in told if one.instance == name],
                status,
                admin_state,
            )
            for name, status, admin_state in rows
        }


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("cause", FALLS)
def test_each_cause_has_the_consequence_that_its_policy_says(
    outcomes: dict[str, Outcome], cause: str, action: Action
) -> None:
    found = outcomes[name_of(cause, action)]
    told = [Kind.STOPPED, *([Kind.RESTARTING] if action is Action.RESTART else []), ENDS[action]]
    assert found.told == [(kind.value, cause) for kind in told]
    assert found.status == status_of(cause, action)
    assert found.admin_state == ("down" if action is Action.DOWN else "up")
