"""In whatever order things happen: no kill accounts for two stops, no fresh one is lost."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyganeti.base import oomcount

_GROUPS = st.sampled_from(["a", "b"])
_KEYS = st.integers(0, 3)
_FRESH = 10.0
"""Seconds for which a kill must at least be remembered."""


class Kills(RuleBasedStateMachine):
    """Guests of two cgroups under one parent; what was killed there, and what was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.root = Path(self.directory.name)
        self.now = 0.0
        self.killed = dict.fromkeys(("a", "b"), 0)
        self.fresh: dict[str, list[float]] = {"a": [], "b": []}
        self.taken = dict.fromkeys(("a", "b"), 0)
        (self.root / "proc/self").mkdir(parents=True)
        mount = "31 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n"
        (self.root / "proc/self/mountinfo").write_text(mount)
        for number, name in enumerate(self.killed):
            (self.root / f"cg/all/{name}").mkdir(parents=True)
            (self.root / f"proc/{number}").mkdir()
            (self.root / f"proc/{number}/cgroup").write_text(f"0::/all/{name}\n")
        self.write()
        self.counter = oomcount.Counter(root=str(self.root), clock=lambda: self.now)
        for key in range(4):
            self.watch(key)

    def write(self) -> None:
        total = sum(self.killed.values())
        (self.root / "proc/vmstat").write_text(f"oom_kill {total}\n")
        (self.root / "cg/all/memory.events").write_text(f"oom_kill {total}\n")
        for name, kills in self.killed.items():
            (self.root / f"cg/all/{name}/memory.events.local").write_text(f"oom_kill {kills}\n")

    @rule(key=_KEYS)
    def watch(self, key: int) -> None:
        group = oomcount.group_of(key % 2, root=str(self.root))
        assert group is not None
        self.counter.watch(key, group)

    @rule(name=_GROUPS)
    def kill(self, name: str) -> None:
        self.killed[name] += 1
        self.fresh[name].append(self.now)
        self.write()

    @rule(key=_KEYS)
    def take(self, key: int) -> None:
        name = "ab"[key % 2]
        kills, where = self.counter.take(key)
        assert where == f"cgroup /all/{name}"
        assert kills >= sum(self.now - at < _FRESH for at in self.fresh[name])
        if kills:
            self.taken[name] += 1
            del self.fresh[name][:1]

    @rule(steps=st.integers(1, 5))
    def pass_some_seconds(self, steps: int) -> None:
        for _ in range(steps):
            self.now += 1
            self.counter.refresh()

    @rule()
    def pass_time_until_all_is_forgotten(self) -> None:
        for _ in range(60):
            self.now += 1
            self.counter.refresh()
        self.fresh = {"a": [], "b": []}
        for name in self.killed:
            self.taken[name] = self.killed[name]
        for key in range(4):
            assert self.counter.take(key)[0] == 0

    @rule(key=_KEYS)
    def come_back(self, key: int) -> None:
        self.counter.forget(key)
        self.watch(key)

    @invariant()
    def nothing_is_taken_twice(self) -> None:
        assert all(self.taken[name] <= self.killed[name] for name in self.killed)

    def teardown(self) -> None:
        self.directory.cleanup()


Kills.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestKills = Kills.TestCase
