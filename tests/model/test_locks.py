"""Locks against a model that knows only the promises: who may hold together, and who goes first.

The model compares claims name by name over a small world of names, in which a whole level is one
more name that conflicts with all. It does not know how the table counts.
"""

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pyganeti.masterd.locks import levels, table

_NAMES = ("a", "b", "c")
_LEVELS = (levels.Level.CLUSTER, levels.Level.INSTANCE, levels.Level.NODE)


def _claims() -> st.SearchStrategy[levels.Claim]:
    names = st.one_of(st.just(levels.ALL), st.frozensets(st.sampled_from(_NAMES)))
    return st.builds(levels.Claim, names, st.sampled_from(levels.Mode))


_WANTED = st.dictionaries(st.sampled_from(_LEVELS), _claims())


def _meet(one: levels.Claim, other: levels.Claim) -> bool:
    """Tell whether two claims have a name in common."""
    if one.is_nothing or other.is_nothing:
        return False
    if levels.ALL in {one.names, other.names}:
        return True
    assert one.names is not levels.ALL
    assert other.names is not levels.ALL
    return bool(one.names & other.names)


def _clash(one: levels.Wanted, other: levels.Wanted) -> bool:
    return any(
        levels.Mode.EXCLUSIVE in {one[level].mode, other[level].mode}
        and _meet(one[level], other[level])
        for level in one.keys() & other.keys()
    )


class Locks(RuleBasedStateMachine):
    """Owners come, wait, hold, give back."""

    @initialize()
    def begin(self) -> None:
        self.table = table.Table()
        self.count = 0
        self.held: dict[str, levels.Wanted] = {}
        self.waiting: dict[str, tuple[int, int, levels.Wanted]] = {}

    def _take_up(self, granted: list[str]) -> None:
        for owner in granted:
            self.held[owner] = self.waiting.pop(owner)[2]

    @rule(wanted=_WANTED, priority=st.integers(-20, 19))
    def ask(self, wanted: dict[levels.Level, levels.Claim], priority: int) -> None:
        self.count += 1
        owner = f"{self.count}"
        self.waiting[owner] = (priority, self.count, wanted)
        self._take_up(self.table.request(owner, wanted, priority))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[owner]
        self._take_up(self.table.release(owner))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), wanted=_WANTED, priority=st.integers(-20, 19))
    def exchange(
        self, data: st.DataObject, wanted: dict[levels.Level, levels.Claim], priority: int
    ) -> None:
        owner = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[owner]
        self.waiting[owner] = (priority, int(owner), wanted)
        self._take_up(self.table.exchange(owner, wanted, priority))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[owner]
        self._take_up(self.table.release(owner))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), priority=st.integers(-20, 19))
    def change(self, data: st.DataObject, priority: int) -> None:
        owner = data.draw(st.sampled_from(sorted(self.waiting)))
        _, number, wanted = self.waiting[owner]
        self.waiting[owner] = (priority, number, wanted)
        self._take_up(self.table.set_priority(owner, priority))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def narrow(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.held)))
        less: dict[levels.Level, levels.Claim] = {}
        for level, claim in self.held[owner].items():
            if not data.draw(st.booleans()):
                continue
            modes = list(levels.Mode) if claim.mode is levels.Mode.EXCLUSIVE else [claim.mode]
            names = _NAMES if claim.names is levels.ALL else sorted(claim.names)
            kept = st.frozensets(st.sampled_from(names)) if names else st.just(frozenset())
            less[level] = levels.Claim(data.draw(kept), data.draw(st.sampled_from(modes)))
        self.held[owner] = less
        self._take_up(self.table.narrow(owner, less))

    @invariant()
    def nobody_holds_what_another_has_for_himself(self) -> None:
        assert dict(self.table.held) == self.held
        held = list(self.held.values())
        for index, one in enumerate(held):
            assert not any(_clash(one, other) for other in held[index + 1 :])

    @invariant()
    def who_could_be_served_in_his_turn_is_not_kept_waiting(self) -> None:
        """And who waits has somebody before him to wait for, so nobody waits in a circle."""
        before: list[levels.Wanted] = list(self.held.values())
        order = sorted(self.waiting, key=lambda owner: self.waiting[owner][:2])
        assert [waiting.owner for waiting in self.table.waiting] == order
        for owner in order:
            wanted = self.waiting[owner][2]
            assert any(_clash(wanted, other) for other in before), f"{owner} waits for nobody"
            before.append(wanted)

    def teardown(self) -> None:
        """When holders give back, everybody is served in the end, the best of them first."""
        while self.held:
            owner = next(iter(self.held))
            first = min(self.waiting, key=lambda o: self.waiting[o][:2], default=None)
            del self.held[owner]
            self._take_up(self.table.release(owner))
            if not self.held:
                assert first is None or first in self.held
        assert not self.waiting


TestLocks = Locks.TestCase
