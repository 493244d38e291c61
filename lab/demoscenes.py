"""The scenes of the demo: what is done to each guest, and what is to be said of it."""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lab import consoles, guests, qmpclient
from lab.cluster import clusters, conductor, instances, machines
from pyganeti.model import cause as causes

Cause = causes.Cause
DO: Final = guests.Command

EXPLAINED: Final = "button"
"""The guest whose end is explained at length."""

MOVES: Final = "moves"


@dataclass(slots=True)
class Stage:
    """One guest and all that can be done to it, on the node that it runs on."""

    cluster: clusters.Cluster
    master: conductor.Conductor
    instance: instances.Instance
    node: machines.Machine
    console: consoles.Console | None = None

    def say(self, letter: str) -> None:
        """Tell the guest something."""
        if self.console is not None:
            self.console.say(letter)

    def wait_up(self) -> None:
        """Wait until the guest has booted."""
        path = self.node.layout.ctrl_dir / f"{self.instance.name}.serial"
        self.console = consoles.Console(path).wait_up()

    def send(self, number: signal.Signals) -> None:
        """Send its qemu a signal."""
        inner = int((self.node.layout.kvm_pid_dir / self.instance.name).read_text())
        os.kill(self.node.namespace.processes()[inner], number)

    def quit(self) -> None:
        """Tell its qemu to quit, behind everybody's back."""
        path = self.node.layout.ctrl_dir / f"{self.instance.name}.qmp"
        with qmpclient.Client(path) as client:
            client.command("quit")

    def close(self) -> None:
        """Give back what was opened."""
        if self.console is not None:
            self.console.close()


Act = Callable[[Stage], object]


@dataclass(slots=True)
class Scene:
    """One guest: what is done to it, what is to be said of it, and what is."""

    name: str
    done: str
    expected: Cause
    act: Act
    sector: bytes = guests.stubborn()
    hvparams: Mapping[str, object] = field(default_factory=dict)
    guest: str = ""
    """Whose second scene this is, on the second node; else the scene has a guest of its own."""

    state: str = ""
    """What the node is to say of the guest afterwards, if that does not follow from the cause."""

    is_unseen: bool = False
    """It ends while the node's daemons are dead."""

    is_timed: bool = True
    """Whether it is known when it ended."""

    says: str = ""
    node_says: str = ""
    right: bool | None = None
    seconds: float | None = None

    @property
    def wanted_state(self) -> str:
        """What the node is to say of the guest afterwards."""
        return self.state or ("shutdown" if self.expected.leaves_marker else "gone")

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """The texts for the table."""
        verdict = "" if self.right is None else "right" if self.right else "WRONG"
        ms = "" if self.seconds is None else f"{self.seconds * 1000:.1f}"
        return (self.name, self.done, self.says, self.node_says, verdict, ms)

    @property
    def is_complete(self) -> bool:
        """Whether it has been judged, and the judgement been judged."""
        return self.right is not None


def scenes() -> list[Scene]:
    """Return all scenes, in the order in which they are played."""

    def told(letter: str) -> Act:
        return lambda stage: stage.say(letter)

    def sent(number: signal.Signals) -> Act:
        return lambda stage: stage.send(number)

    return [
        Scene("off", "powers itself off", Cause.USER_POWEROFF, told(DO.POWER_OFF)),
        Scene(
            EXPLAINED,
            "is shut down by an administrator, and obeys",
            Cause.ADMIN_SHUTDOWN,
            lambda stage: stage.master.stop(stage.instance, stage.node),
            sector=guests.polite(),
        ),
        Scene(
            "ignores",
            "is shut down, does not obey, and is killed for that",
            Cause.ADMIN_KILL,
            lambda stage: stage.master.stop(stage.instance, stage.node, timeout=0.2),
            is_timed=False,
        ),
        Scene(
            "again",
            "is rebooted by an administrator",
            Cause.ADMIN_SHUTDOWN,
            lambda stage: stage.master.reboot(stage.instance, stage.node),
            sector=guests.polite(),
            state="running",
        ),
        Scene("quit", "its qemu is told to quit", Cause.ADMIN_QUIT, lambda stage: stage.quit()),
        Scene("term", "its qemu gets SIGTERM", Cause.HOST_SIGNAL, sent(signal.SIGTERM)),
        Scene("kill", "its qemu gets SIGKILL", Cause.KILLED, sent(signal.SIGKILL)),
        Scene("segv", "its qemu gets SIGSEGV", Cause.CRASHED, sent(signal.SIGSEGV)),
        Scene(
            "panic",
            "panics",
            Cause.GUEST_PANIC,
            told(DO.PANIC),
            hvparams={"kvm_extra": "-device pvpanic -action panic=exit-failure"},
        ),
        Scene(
            "reset",
            "resets itself, and its qemu ends on that",
            Cause.GUEST_REBOOT,
            told(DO.RESET),
            hvparams={"reboot_behavior": "exit"},
        ),
        Scene("sleep", "hibernates (S4)", Cause.USER_HIBERNATE, told(DO.HIBERNATE)),
        Scene(
            "unseen",
            "powers itself off while its node's daemons are dead",
            Cause.USER_POWEROFF,
            told(DO.POWER_OFF),
            is_unseen=True,
            is_timed=False,
        ),
        Scene(
            MOVES,
            "is migrated to a second node, and counts on there",
            Cause.MIGRATED,
            _move,
        ),
        Scene(
            MOVES,
            "its new node loses its power",
            Cause.HOST_REBOOT,
            _pull_the_plug,
            guest=MOVES,
            is_timed=False,
        ),
    ]


class Forgot(Exception):
    """A guest did not go on where it was moved to."""


def _move(stage: Stage) -> None:
    if stage.console is None:
        return
    before = stage.console.count()
    source, target = stage.cluster.nodes
    stage.master.migrate(stage.instance, source, target)
    stage.close()
    stage.node = target
    stage.console = consoles.Console(target.layout.ctrl_dir / f"{stage.instance.name}.serial")
    after = stage.console.count()
    if after != before + 1:
        raise Forgot(f"counted {before}, moved, and counted {after}")


def _pull_the_plug(stage: Stage) -> None:
    stage.close()
    stage.node.power_off()
    stage.cluster.start(stage.node)
    stage.cluster.kvmd(stage.node).start()
