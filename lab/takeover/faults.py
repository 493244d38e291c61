"""What happens in one schedule: faults and submissions, drawn from a seed.

For a while things go wrong, several at a time, while jobs come in; then everything is mended, and
the cluster has to come to rest.
"""

from collections.abc import Callable
from typing import Final

from lab.takeover import candidates, etcd, world

TROUBLE: Final = 18.0
"""Seconds in which things go wrong."""

_LONGEST: Final = 10.0
_PAUSES: Final = (0.3, 5.0)


class Faults:
    """Draws them, one after the other."""

    def __init__(
        self, around: world.World, store: etcd.Etcd, standing: list[candidates.Candidate]
    ) -> None:
        self._world = around
        self._etcd = store
        self._candidates = standing
        self._kinds: list[Callable[[], None]] = [
            self._kill,
            self._kill_leader,
            self._stop_leader,
            self._pause,
            self._pause_leader,
            self._cut_from_etcd,
            self._cut_leader_from_etcd,
            self._cut_one_way,
            self._cut_from_nodes,
            self._etcd_away,
            self._etcd_full,
            self._break_watches,
            self._compact,
            self._bad_network,
            self._jump,
        ]

    def begin(self) -> None:
        """Have things go wrong from now on, until `TROUBLE` is over."""
        self._until = self._world.now + TROUBLE
        self._next()

    def mend(self) -> None:
        """Have everything be well."""
        around = self._world
        around.cut.clear()
        around.loss = around.twice = around.slowness = 0.0
        self._etcd.come()
        self._etcd.is_full = False
        for candidate in self._candidates:
            candidate.process.is_paused = False
            candidate.start()

    def _next(self) -> None:
        if self._world.now < self._until:
            self._world.random.choice(self._kinds)()
            self._world.at(self._world.random.uniform(*_PAUSES), self._next)

    # What can go wrong.

    def _some(self) -> candidates.Candidate:
        return self._world.random.choice(self._candidates)

    def _leader(self) -> candidates.Candidate:
        leading = [c for c in self._candidates if c.leading is not None]
        return self._world.random.choice(leading or self._candidates)

    def _later(self, act: Callable[[], None]) -> None:
        self._world.at(self._world.random.uniform(0.2, _LONGEST), act)

    def _kill(self, candidate: candidates.Candidate | None = None) -> None:
        one = candidate or self._some()
        one.kill()
        self._later(one.start)

    def _kill_leader(self) -> None:
        self._kill(self._leader())

    def _stop_leader(self) -> None:
        one = self._leader()
        one.stop()
        self._later(one.start)

    def _pause(self, candidate: candidates.Candidate | None = None) -> None:
        one = candidate or self._some()
        process = one.process
        process.is_paused = True
        self._world.say(f"{process.ident} is paused")

        def resume() -> None:
            process.is_paused = False
            self._world.say(f"{process.ident} goes on")

        self._later(resume)

    def _pause_leader(self) -> None:
        self._pause(self._leader())

    def _cut(self, pairs: set[tuple[str, str]], words: str) -> None:
        self._world.say(words)
        self._world.cut |= pairs
        self._later(lambda: self._join(pairs, words))

    def _join(self, pairs: set[tuple[str, str]], words: str) -> None:
        self._world.say(f"over: {words}")
        self._world.cut -= pairs

    def _cut_from_etcd(self, candidate: candidates.Candidate | None = None) -> None:
        name = (candidate or self._some()).name
        self._cut({(name, etcd.NAME), (etcd.NAME, name)}, f"{name} is cut off from etcd")

    def _cut_leader_from_etcd(self) -> None:
        self._cut_from_etcd(self._leader())

    def _cut_one_way(self) -> None:
        name = self._leader().name
        if self._world.random.random() < 0.5:
            self._cut({(name, etcd.NAME)}, f"etcd does not hear {name}")
        else:
            self._cut({(etcd.NAME, name)}, f"{name} does not hear etcd")

    def _cut_from_nodes(self) -> None:
        name, node = self._leader().name, self._world.random.choice(("n1", "n2"))
        self._cut({(name, node), (node, name)}, f"{name} is cut off from {node}")

    def _etcd_away(self) -> None:
        self._world.say("etcd is away")
        self._etcd.go()

        def come() -> None:
            self._world.say("etcd is there")
            self._etcd.come()

        self._later(come)

    def _etcd_full(self) -> None:
        self._world.say("etcd is full")
        self._etcd.is_full = True

        def empty() -> None:
            self._world.say("etcd has room")
            self._etcd.is_full = False

        self._later(empty)

    def _break_watches(self) -> None:
        self._etcd.break_watches()

    def _compact(self) -> None:
        self._etcd.compacted = self._etcd.revision

    def _bad_network(self) -> None:
        around = self._world
        around.loss = around.random.uniform(0, 0.3)
        around.twice = around.random.uniform(0, 0.3)
        around.slowness = around.random.uniform(0, 0.2)
        around.say("messages are lost, come twice and late")

        def well() -> None:
            around.loss = around.twice = around.slowness = 0.0
            around.say("messages arrive")

        self._later(well)

    def _jump(self) -> None:
        one = self._some()
        one.process.skew += self._world.random.uniform(-5000, 5000)
        self._world.say(f"{one.name}'s clock jumps")
