from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.model.cause import Cause
from pyganeti.model.recovery.settings import Limits
from pyganeti.watcher.recovery import backoff, memory, mentions, moments

LIMITS = Limits(3, 3600)


class Clocks:
    """Two clocks that are set by hand."""

    def __init__(self) -> None:
        self.steady = 1000.0
        self.wall = 1_700_000_000.0

    def pass_by(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds

    def clock(self) -> moments.Clock:
        return moments.Clock(lambda: self.steady, lambda: self.wall)


def kept(one: memory.Memory) -> memory.Memory:
    """Return what another run finds."""
    one.write(one.content())
    again = memory.Memory(one.path, one.clock)
    again.load()
    return again


def made(path: Path, clocks: Clocks) -> memory.Memory:
    return memory.Memory(path / "recovery.data", clocks.clock())


def test_what_is_kept_is_found_by_the_next_run(tmp_path: Path) -> None:
    clocks = Clocks()
    one = made(tmp_path, clocks)
    one.advance("node1", "aa:7", 1_699_999_000.0)
    one.tried("web1", 3, Cause.KILLED)
    one.give_up("web2")
    assert one.leave("web3", "key")
    clocks.pass_by(60)

    again = kept(one)

    assert (again.mark("node1"), again.mark("node2")) == ("aa:7", None)
    assert again.recorded("node1") == 1_699_999_000.0
    [past] = again.past("web1")
    assert past.ago == pytest.approx(60.0)
    assert past.cause is Cause.KILLED
    assert again.given_up("web2") == pytest.approx(1000.0)
    assert not again.leave("web3", "key")
    assert again.leave("web3", "another")


def test_a_stop_that_was_left_is_no_news_when_it_comes_to_be_on_record(tmp_path: Path) -> None:
    one = made(tmp_path, Clocks())
    assert one.leave("web1", "")
    assert not one.leave("web1", "key")
    one.runs("web1")
    assert one.leave("web1", "later")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"version": 2}', b'{"attempts": 5}', b"[" * 100_000, b'{"nodes": {"a"'],
)
def test_garbage_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recovery.data").write_bytes(content)
    one = made(tmp_path, Clocks())
    one.load()
    assert one.mark("node1") is None
    one.advance("node1", "aa:1", 0.0)
    assert kept(one).mark("node1") == "aa:1"


def test_a_disk_that_refuses_is_tried_again_later(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("a file where a directory should be")
    one = memory.Memory(place / "recovery.data", Clocks().clock())
    one.tried("web1", 3, Cause.KILLED)
    one.write(one.content())
    assert one.is_changed
    place.unlink()
    assert kept(one).past("web1")


def test_a_restart_that_is_on_record_twice_counts_once(tmp_path: Path) -> None:
    clocks = Clocks()
    one = made(tmp_path, clocks)
    one.tried("web1", 3, Cause.KILLED)
    one.add({"web1": [mentions.Attempt(3, clocks.wall, Cause.KILLED)]})
    assert len(one.past("web1")) == 1
    one.add({"web1": [mentions.Attempt(4, clocks.wall, Cause.KILLED)]})
    assert len(one.past("web1")) == 2


def test_what_was_forgiven_while_nobody_ran_counts_no_more(tmp_path: Path) -> None:
    one = made(tmp_path, Clocks())
    for job in (3, 5, 9):
        one.tried("web1", job, Cause.KILLED)
    one.forget({"web1": 7, "web2": 7})
    assert len(kept(one).past("web1")) == 1


def test_what_is_forgiven_and_who_is_gone_is_forgotten(tmp_path: Path) -> None:
    one = made(tmp_path, Clocks())
    for name in ("web1", "web2"):
        one.tried(name, 3, Cause.KILLED)
        one.give_up(name)
    one.forgive("web1")
    assert (one.past("web1"), one.given_up("web1")) == ([], None)
    one.keep_only(["web1"])
    assert (one.past("web2"), one.given_up("web2")) == ([], None)


def test_health_is_counted_from_when_it_was_seen_and_ends_with_the_first_fall(
    tmp_path: Path,
) -> None:
    clocks = Clocks()
    one = made(tmp_path, clocks)
    assert one.healthy_for("web1", runs=True) == 0
    clocks.pass_by(50_000)
    one = kept(one)
    assert one.healthy_for("web1", runs=True) == pytest.approx(50_000)
    assert one.healthy_for("web1", runs=False) == 0
    clocks.pass_by(10)
    assert one.healthy_for("web1", runs=True) == 0


JUMPS = st.floats(-10 * 365 * 86400, 10 * 365 * 86400)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 2000)),
        st.tuples(st.just("jump"), JUMPS),
        st.tuples(st.just("again"), st.just(0.0)),
    ),
    max_size=30,
)


@given(STEPS)
def test_a_clock_that_jumps_makes_neither_a_storm_nor_an_end_for_ever(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]]
) -> None:
    """An instance falls whenever it is started; meanwhile clocks jump and we are killed.

    A clock that was set ahead while nobody ran may grant the tries anew, once.
    """
    clocks = Clocks()
    one = made(tmp_path_factory.mktemp("memory"), clocks)
    starts: list[float] = []
    job, has_jumped = 0, False
    for kind, number in [*steps, ("pass", float(LIMITS.seconds) + 1)]:
        match kind:
            case "pass":
                clocks.pass_by(number)
            case "jump":
                clocks.wall += number
                has_jumped = True
            case _:
                one = kept(one)
                starts = [] if has_jumped else starts
                has_jumped = False
        while backoff.judge(one.past("web1"), LIMITS, Cause.KILLED).ruling is backoff.Ruling.NOW:
            job += 1
            starts.append(clocks.steady)
            one.tried("web1", job, Cause.KILLED)
        recent = [at for at in starts if clocks.steady - at < LIMITS.seconds]
        assert len(recent) <= LIMITS.tries
    # The time has passed since, so it has been started once more, whatever the clocks show.
    assert starts[-1] == clocks.steady


@given(JUMPS)
def test_a_clock_set_back_while_nobody_ran_makes_old_tries_new_and_no_more(jump: float) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    written = clock.to_wall(clock.steady() - 100)
    clocks.wall += jump
    assert clock.steady() - clock.from_wall(written) == pytest.approx(max(0.0, 100 + jump))


def test_the_file_has_a_version(tmp_path: Path) -> None:
    one = made(tmp_path, Clocks())
    assert msgspec.json.decode(one.content())["version"] == memory.VERSION
