"""Copies of the queue on the candidates: those that answer have it all, the others stop nobody."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from lab import carriers, jobs
from pyganeti.base import errors, paths
from pyganeti.masterd.jobs import queue
from pyganeti.noded import queuefiles
from pyganeti.wire import noderpc, standings

op = carriers.opcode
QUICK = queue.Bounds(copy_patience=0.1, copy_pauses=(0.02, 0.05), end_patience=0.2)
PLACE = "/var/lib/ganeti/queue/"


class Candidates:
    """Nodes that keep copies as node daemons do, and that can be made to fail."""

    def __init__(self, *names: str) -> None:
        self.present = set(names)
        self.copies: dict[str, dict[str, bytes]] = {name: {} for name in names}
        self.calls: list[tuple[str, str]] = []
        self.down: set[str] = set()
        self.hanging: set[str] = set()
        self.changed = asyncio.Event()
        self.epoch = 0

    def names(self) -> set[str]:
        return set(self.present)

    def own(self) -> tuple[int, str]:
        return self.epoch, "me"

    async def call(self, candidate: str, name: str, *arguments: Any, timeout: float) -> Any:
        self.calls.append((candidate, name))
        await asyncio.sleep(0)
        if candidate in self.hanging:
            await asyncio.sleep(timeout)
            raise errors.Interrupted(f"{candidate} has not answered")
        if candidate in self.down:
            raise errors.Unavailable(f"{candidate} does not take connections")
        files = self.copies[candidate]
        match name, arguments:
            case "jobqueue_update", (file, blob):
                assert file.startswith(PLACE)
                files[file.removeprefix(PLACE)] = noderpc.decode_blob(blob)
            case "jobqueue_rename", (pairs,):
                for old, new in pairs:
                    if old.removeprefix(PLACE) not in files:
                        raise errors.Failure("it cannot be renamed")
                    files[new.removeprefix(PLACE)] = files.pop(old.removeprefix(PLACE))
            case "jobqueue_purge", ():
                files.clear()
            case "jobqueue_set_drain_flag", (drained,):
                files.pop("drain", None)
                if drained:
                    files["drain"] = b""
            case _:
                raise AssertionError(f"no such call: {name}{arguments}")
        self.changed.set()

    async def same(self, name: str, place: Path) -> None:
        """Wait until a candidate's copy is the queue."""
        async with asyncio.timeout(10):
            while self.copies[name] != queue_in(place):
                self.changed.clear()
                await self.changed.wait()


def queue_in(place: Path) -> dict[str, bytes]:
    """Return the files of a queue that are copied."""
    wanted = [*place.glob("job-*"), *place.glob("archive/*/job-*")]
    others = (place / name for name in ("serial", "drain", "candidates"))
    wanted += [path for path in others if path.exists()]
    return {str(path.relative_to(place)): path.read_bytes() for path in wanted}


def known(place: Path) -> set[str]:
    """Return the candidates that are written down as up to date."""
    found = standings.decode_good((place / "candidates").read_bytes())
    assert found is not None
    return set(found.names)


async def test_a_number_is_given_out_when_all_that_answer_have_the_job(
    opened: jobs.Opening, place: Path
) -> None:
    nodes = Candidates("a", "b")
    async with opened(candidates=nodes) as (found, carrier):
        await nodes.same("a", place)
        await nodes.same("b", place)
        number = await found.submit([op("hold")])
        for name in "ab":
            assert nodes.copies[name][f"job-{number}"]
            assert nodes.copies[name]["serial"] == b"1\n"
        await carrier.arrived("begin", number)
        for name in "ab":
            assert b'"running"' in nodes.copies[name][f"job-{number}"]
        carrier.let_go(number)
        await jobs.ended(found, number)
        for name in "ab":
            assert nodes.copies[name] == queue_in(place)
        assert await found.archive(number)
        await found.set_drain(drained=True)
        for name in "ab":
            assert nodes.copies[name] == queue_in(place)
            assert "archive/0/job-1" in nodes.copies[name]
            assert "drain" in nodes.copies[name]
        assert known(place) == {"a", "b"}


async def test_one_that_is_down_stops_nobody_and_gets_all_when_it_is_back(
    opened: jobs.Opening, place: Path
) -> None:
    nodes = Candidates("a", "b")
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await nodes.same("b", place)
        one, two = [n for _, n in await found.submit_many([[op()], [op()]])]
        await jobs.ended(found, one, two)
        await nodes.same("b", place)
        nodes.down.add("b")
        three = await found.submit([op()])
        assert known(place) == {"a"}  # written before anybody heard of job 3
        await jobs.ended(found, three)
        assert await found.archive(one)
        assert nodes.copies["b"].keys() == {"serial", "candidates", "job-1", "job-2"}
        nodes.down.clear()
        # what it has of jobs that are archived by now is purged: it would run them again
        async with asyncio.timeout(10):
            while "b" not in known(place):  # noqa: ASYNC110 - a file is what tells
                await asyncio.sleep(0.01)
        assert nodes.copies["b"].keys() - {"candidates"} == {"serial", "job-2", "job-3"}
        assert ("b", "jobqueue_purge") in nodes.calls
        four = await found.submit([op()])
        assert f"job-{four}" in nodes.copies["b"]


async def test_one_that_hangs_is_waited_for_once(opened: jobs.Opening, place: Path) -> None:
    nodes = Candidates("a", "b")
    bounds = queue.Bounds(copy_patience=0.3, copy_pauses=(60, 60), end_patience=0.2)
    async with opened(candidates=nodes, bounds=bounds) as (found, _):
        await nodes.same("a", place)
        await found.submit([op()])
        nodes.hanging.add("b")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        number = await found.submit([op()])
        assert loop.time() - begun >= 0.3
        for _ in range(20):
            number = await found.submit([op()])
        await jobs.ended(found, number)
        assert len([call for call in nodes.calls if call == ("b", "jobqueue_update")]) < 20
        assert f"job-{number}" in nodes.copies["a"]


async def test_one_that_cannot_store_is_away_but_what_it_does_not_take_is_left_out(
    opened: jobs.Opening, place: Path
) -> None:
    class Picky(Candidates):
        refuses: errors.Failure | None = None

        async def call(self, candidate: str, name: str, *arguments: Any, timeout: float) -> Any:
            if name == "jobqueue_update" and self.refuses is not None:
                raise self.refuses
            return await super().call(candidate, name, *arguments, timeout=timeout)

    nodes = Picky("a")
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await nodes.same("a", place)
        nodes.refuses = errors.BadInput("HTTP 413: too large")
        await jobs.ended(found, await found.submit([op()]))
        assert known(place) == {"a"}
        nodes.refuses = errors.Failure("it cannot be written: No space left on device")
        await jobs.ended(found, await found.submit([op()]))
        assert known(place) == set()
        nodes.refuses = None
        await nodes.same("a", place)


async def test_a_new_candidate_gets_the_whole_queue_and_a_former_one_nothing(
    opened: jobs.Opening, place: Path
) -> None:
    nodes = Candidates("a", "b")
    nodes.present = {"a"}
    nodes.copies["b"] = {"job-77": b"of another time"}
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        numbers = [n for _, n in await found.submit_many([[op()]] * 20)]
        await jobs.ended(found, *numbers)
        nodes.present = {"b"}
        found.reconsider()
        await nodes.same("b", place)
        before = dict(nodes.copies["a"])
        await jobs.ended(found, await found.submit([op()]))
        await nodes.same("b", place)
        assert nodes.copies["a"] == before


async def test_after_a_restart_one_that_was_up_to_date_counts_at_once_and_the_others_do_not(
    opened: jobs.Opening, place: Path
) -> None:
    nodes = Candidates("a", "b")
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await nodes.same("a", place)
        await nodes.same("b", place)
        nodes.down.add("b")
        number = await found.submit([op()])
        await jobs.ended(found, number)
    # a killed daemon may not have sent the last that it wrote
    nodes.copies["a"][f"job-{number}"] = b"older"
    nodes.down.clear()
    nodes.calls.clear()
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        following = await found.submit([op()])
        assert f"job-{following}" in nodes.copies["a"]
        await jobs.ended(found, following)
        await nodes.same("a", place)
        await nodes.same("b", place)
        assert ("a", "jobqueue_purge") not in nodes.calls
        assert ("b", "jobqueue_purge") in nodes.calls


async def test_what_was_removed_by_hand_does_not_come_back_on_another_master(
    opened: jobs.Opening, place: Path
) -> None:
    nodes = Candidates("a")
    async with opened(candidates=nodes, bounds=QUICK, limit=lambda: 1) as (found, carrier):
        await nodes.same("a", place)
        first = await found.submit([op("hold")])
        removed = await found.submit([op()])
        (place / f"job-{removed}").unlink()
        async with asyncio.timeout(10):
            while f"job-{removed}" in nodes.copies["a"]:
                nodes.changed.clear()
                await nodes.changed.wait()
        carrier.let_go(first)
        await jobs.ended(found, first)


async def test_states_reach_a_candidate_in_their_order(opened: jobs.Opening, place: Path) -> None:
    """Whatever is written while the copies of earlier batches are on their way."""
    nodes = Candidates("a")
    seen: dict[str, list[str]] = {}

    class Slow(Candidates):
        async def call(self, candidate: str, name: str, *arguments: Any, timeout: float) -> Any:
            if name == "jobqueue_update" and "job-" in arguments[0]:
                status = msgspec.json.decode(noderpc.decode_blob(arguments[1]))["ops"][0]["status"]
                await asyncio.sleep(0.001 * (len(self.calls) % 3))
                seen.setdefault(arguments[0], []).append(status)
            return await super().call(candidate, name, *arguments, timeout=timeout)

    nodes = Slow("a")
    async with opened(candidates=nodes) as (found, _):
        await nodes.same("a", place)
        numbers = [n for _, n in await found.submit_many([[op("log=x")]] * 50)]
        await jobs.ended(found, *numbers)
    order = ["queued", "waiting", "running", "success"]
    for states in seen.values():
        assert states == sorted(states, key=order.index)
        assert states[-1] == "success"


async def test_a_master_that_comes_back_after_another_trusts_nobody_it_knew(
    opened: jobs.Opening, place: Path
) -> None:
    """The other one's purge of this node's copy has taken that knowledge away."""
    nodes = Candidates("a")
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await nodes.same("a", place)
        await jobs.ended(found, await found.submit([op()]))
    assert known(place) == {"a"}
    queuefiles.purge(paths.Paths(place.parents[3]))
    nodes.copies["a"]["job-1"] = b"of a time that is over"
    nodes.calls.clear()
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await jobs.ended(found, await found.submit([op()]))
        await nodes.same("a", place)
        assert ("a", "jobqueue_purge") in nodes.calls


async def test_a_closed_queue_answers_who_is_late(opened: jobs.Opening) -> None:
    async with opened(limit=lambda: 1) as (found, carrier):
        first = await found.submit([op("hold")])
        second = await found.submit([op()])
        await carrier.arrived("begin", first)
        late = asyncio.create_task(found.wait_for_change(second, ["status"], ["queued"], None, 0.5))
    assert await late == "nochange"


def good(content: bytes) -> standings.Good:
    found = standings.decode_good(content)
    assert found is not None
    return found


async def test_the_newest_list_that_any_copy_has_says_which_copies_are_good(
    opened: jobs.Opening, place: Path
) -> None:
    nodes = Candidates("a", "b")
    nodes.epoch = 7
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await found.submit([op()])
        await nodes.same("a", place)
        await nodes.same("b", place)
        nodes.down.add("b")
        two = await found.submit([op()])
        lists = {name: good(nodes.copies[name]["candidates"]) for name in "ab"}
        assert lists["a"] == good((place / "candidates").read_bytes())
        assert lists["a"].rank > lists["b"].rank
        assert (lists["a"].epoch, lists["a"].master, lists["a"].names) == (7, "me", ("a",))
        assert lists["b"].names == ("a", "b")
        await jobs.ended(found, two)
    nodes.epoch = 8
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await found.submit([op()])
        assert good(nodes.copies["a"]["candidates"]).rank > lists["a"].rank
        nodes.down.clear()
        await nodes.same("b", place)
        assert good(nodes.copies["b"]["candidates"]).names == ("a", "b")


async def test_a_copy_that_is_being_filled_has_no_list(opened: jobs.Opening, place: Path) -> None:
    nodes = Candidates("a")
    async with opened(candidates=nodes, bounds=QUICK) as (found, _):
        await nodes.same("a", place)
        one = await found.submit([op()])
        await jobs.ended(found, one)
        nodes.down.add("a")
        await found.submit([op()])
        begun: set[str] = set()
        whole = nodes.call

        async def call(candidate: str, name: str, *arguments: Any, timeout: float) -> Any:
            await whole(candidate, name, *arguments, timeout=timeout)
            if name == "jobqueue_purge":
                begun.update(nodes.copies["a"])
            elif arguments[0] == f"{PLACE}job-1":
                begun.update(nodes.copies["a"])
                assert "candidates" not in nodes.copies["a"]

        nodes.call = call  # type: ignore[method-assign]
        nodes.down.clear()
        await nodes.same("a", place)
        assert "job-1" in begun
