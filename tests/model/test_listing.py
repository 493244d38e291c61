"""Events that come late or are lost, scans in slices while things change: the names still agree.

The directory here is a model of a real one: a bounded queue of events that overflows, and a scan
that reads a few names at a time in the order of the directory.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyganeti.kvmd.watching import listing

NAMES = st.sampled_from("abcdefgh")
QUEUE = 6
BITE = 4


class Agreement(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.truth: set[str] = set()
        self.queue: list[tuple[str, str]] = []
        self.one = listing.Listing()
        self.told: set[str] = set()
        self.wanted = True
        self.cursor: str | None = None
        self.buffer: list[str] = []

    def _raise(self, kind: str, name: str) -> None:
        if len(self.queue) < QUEUE:
            self.queue.append((kind, name))
        elif self.queue[-1][0] != "overflow":
            self.queue.append(("overflow", ""))

    @rule(name=NAMES)
    def make_or_replace(self, name: str) -> None:
        self.truth.add(name)
        self._raise("come", name)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if name in self.truth:
            self.truth.remove(name)
            self._raise("gone", name)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        if old in self.truth and old != new:
            self.truth.remove(old)
            self.truth.add(new)
            self._raise("gone", old)
            self._raise("come", new)

    @rule()
    def deliver(self) -> None:
        if not self.queue:
            return
        kind, name = self.queue.pop(0)
        if kind == "overflow":
            self.wanted = True
        elif kind == "come":
            self.one.come(name)
            self.told.add(name)
        elif self.one.gone(name):
            self.told.remove(name)

    @rule()
    def deliver_all(self) -> None:
        while self.queue:
            self.deliver()

    @rule()
    def ask_for_a_scan(self) -> None:
        self.wanted = True

    @rule()
    def scan_a_bit(self) -> None:
        if self.cursor is None:
            if not self.wanted:
                return
            self.wanted = False
            self.cursor = ""
            self.buffer = []
            self.one.begin()
        if not self.buffer:
            self.buffer = sorted(name for name in self.truth if name > self.cursor)[:BITE]
        if self.buffer:
            self.cursor = self.buffer.pop(0)
            if self.one.saw(self.cursor):
                assert self.cursor not in self.told
                self.told.add(self.cursor)
        elif (name := self.one.missed()) is not None:
            self.told.remove(name)
        else:
            self.cursor = None

    @rule()
    def break_the_scan_off(self) -> None:
        if self.cursor is not None:
            self.cursor = None
            self.wanted = True
            self.one.abandon()

    @invariant()
    def what_was_told_is_what_is_known(self) -> None:
        assert self.told == self.one.names

    def teardown(self) -> None:
        while self.queue:
            self.deliver()
        steps = 0
        while self.wanted or self.cursor is not None:
            self.scan_a_bit()
            steps += 1
            assert steps < 100
        assert self.told == self.truth


Agreement.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestAgreement = Agreement.TestCase
