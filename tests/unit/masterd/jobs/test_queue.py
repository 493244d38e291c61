"""The queue as its users see it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from lab import carriers, jobs
from pyganeti.base import errors
from pyganeti.masterd.jobs import queue, refusals, waiting

op = carriers.opcode


def on_disk(place: Path, job_id: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / f"job-{job_id}").read_bytes())
    return found


async def test_a_job_is_on_the_disk_when_its_number_is_given_out(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, carrier):
        number = await found.submit([op("hold"), op()])
        job = on_disk(place, number)
        assert job["id"] == number == 1
        assert (place / "serial").read_text() == "1\n"
        assert (place / "version").read_text() == "1\n"
        assert job["ops"][0]["input"]["comment"] == "hold"
        await carrier.arrived("begin", number)
        assert on_disk(place, number)["ops"][0]["status"] == "running"
        carrier.let_go(number)
        assert await jobs.ended(found, number) == ["success"]
        job = on_disk(place, number)
        assert [o["status"] for o in job["ops"]] == ["success", "success"]
        assert [o["result"] for o in job["ops"]] == [[1, 0], [1, 1]]
        assert job["received_timestamp"] <= job["start_timestamp"] <= job["end_timestamp"]


async def test_the_reason_trail_grows_by_the_job_and_the_opcode(opened: jobs.Opening) -> None:
    """As recorded: gnt:opcode:instance_startup, job=1;index=0."""
    async with opened() as (found, _):
        number = await found.submit([op(), {"OP_ID": "OP_INSTANCE_STARTUP", "reason": []}])
        [(_, kept)] = await found.get([number])
        assert kept is not None
        trails = [o.input["reason"] for o in kept.job.ops]
        assert [entry[:2] for entry in trails[0]] == [
            ["gnt:client:gnt-debug", "delay"],
            ["gnt:opcode:test_delay", "job=1;index=0"],
        ]
        assert trails[1][0][:2] == ["gnt:opcode:instance_startup", "job=1;index=1"]
        seconds, micros = kept.job.received_timestamp or (0, 0)
        assert trails[1][0][2] == seconds * 10**9 + micros * 1000


async def test_no_more_jobs_run_than_may_and_the_best_begin_first(opened: jobs.Opening) -> None:
    limit = 0
    async with opened(limit=lambda: limit) as (found, carrier):
        first = await found.submit([op("hold")])  # a limit below one is one
        await carrier.arrived("begin", first)
        made = await found.submit_many(
            [[op(priority=10)], [op(priority=0)], [op(priority=-10)], [op(), op(priority=-10)]]
        )
        numbers = [number for _, number in made]
        assert [await jobs.state(found, n) for n in numbers] == ["queued"] * 4
        limit = 2
        carrier.let_go(first)
        await jobs.ended(found, *numbers)
        low, _, urgent, mixed = numbers
        assert set(carrier.done("begin")[1:3]) <= {urgent, mixed}
        assert carrier.done("begin")[-1] == low
        assert carrier.most_at_once <= limit


async def test_an_error_has_its_name_on_the_wire_and_ends_what_follows(
    opened: jobs.Opening,
) -> None:
    async with opened() as (found, carrier):
        failing = await found.submit([op("fail"), op()])
        crashing = await found.submit([op("crash")])
        assert await jobs.ended(found, failing, crashing) == ["error", "error"]
        assert await jobs.result(found, failing) == [
            ["OpPrereqError", ["it was to fail", "wrong_state"]],
            ["OpExecError", ["Preceding opcode failed"]],
        ]
        assert await jobs.result(found, crashing) == [["OpExecError", ["it was to crash"]]]
        assert carrier.done("begin") == [failing, crashing]


@pytest.mark.parametrize("result", [{1, 2}, {"a": object()}, 2**70, float("nan"), "\udcff", {1: 2}])
async def test_whatever_a_result_is_the_job_ends(
    place: Path, result: Any, opened: jobs.Opening
) -> None:
    class Strange(carriers.Carrier):
        async def perform(self, opcode: dict[str, Any], run: Any) -> Any:
            await run.begin()
            run.log(result)
            return result

    async with queue.Queue(place, Strange()) as found:
        number = await found.submit([op()])
        await jobs.ended(found, number)
        [value] = await jobs.result(found, number)
        assert value == on_disk(place, number)["ops"][0]["result"]
        answer = await found.wait_for_change(number, ["opresult"], None, None, 1)
        assert json.dumps(answer)


class TestCancel:
    async def test_one_that_is_queued_leaves_the_queue(
        self, opened: jobs.Opening, place: Path
    ) -> None:
        async with opened(limit=lambda: 1) as (found, carrier):
            first = await found.submit([op("hold")])
            second = await found.submit([op(), op()])
            was_canceled, _ = await found.cancel(second)
            assert was_canceled
            assert [o["status"] for o in on_disk(place, second)["ops"]] == ["canceled"] * 2
            assert await found.cancel(second) == (False, f"Job {second} not found in queue")
            carrier.let_go(first)
            await jobs.ended(found, first)
        assert carrier.done("begin") == [first]

    async def test_one_that_waits_is_interrupted(self, opened: jobs.Opening, place: Path) -> None:
        async with opened() as (found, carrier):
            holder = await found.submit([op("hold lock=i")])
            await carrier.arrived("begin", holder)
            waits = await found.submit([op("lock=i"), op()])
            await jobs.reach(found, waits, "waiting")
            await carrier.arrived("wait", waits)
            assert (await found.cancel(waits))[0]
            assert await jobs.state(found, waits) == "canceled"
            assert await jobs.result(found, waits) == ["Job canceled by request"] * 2
            carrier.let_go(holder)
            assert await jobs.ended(found, holder) == ["success"]
            assert carrier.locks.describe() == []
        assert carrier.done("begin") == [holder]

    async def test_one_that_runs_is_left_alone_unless_somebody_insists(
        self, opened: jobs.Opening
    ) -> None:
        async with opened() as (found, carrier):
            runs = await found.submit([op("hold"), op()])
            await carrier.arrived("begin", runs)
            was_canceled, why = await found.cancel(runs)
            assert not was_canceled
            assert "running" in why
            assert await jobs.state(found, runs) == "running"
            assert (await found.cancel(runs, kill=True))[0]
            assert await jobs.state(found, runs) == "error"
            first, second = await jobs.result(found, runs)
            assert "insisted" in first[1][0]
            assert "TEST_DELAY" in first[1][0]
            assert second == ["OpExecError", ["Preceding opcode failed"]]
            assert carrier.done("stopped") == [runs]

    async def test_one_that_is_not_there_or_has_ended_is_not_found(
        self, opened: jobs.Opening
    ) -> None:
        """As recorded."""
        async with opened() as (found, _):
            number = await found.submit([op()])
            await jobs.ended(found, number)
            assert await found.cancel(number) == (False, "Job 1 not found in queue")
            assert await found.cancel(9999) == (False, "Job 9999 not found in queue")

    async def test_one_that_ends_just_then_is_not_called_canceled(
        self, opened: jobs.Opening
    ) -> None:
        async with opened() as (found, carrier):
            runs = await found.submit([op("hold")])
            await carrier.arrived("begin", runs)
            carrier.let_go(runs)
            asked: list[asyncio.Task[tuple[bool, str]]] = []
            last = ""
            while last != f"Job {runs} not found in queue":
                asked.append(asyncio.create_task(found.cancel(runs)))
                await asyncio.sleep(0)
                last = next((t.result()[1] for t in reversed(asked) if t.done()), "")
            said = await asyncio.gather(*asked)
            assert not any(was_canceled for was_canceled, _ in said)
            assert await jobs.state(found, runs) == "success"

    async def test_a_cancel_is_carried_out_though_who_asked_has_gone(
        self, opened: jobs.Opening
    ) -> None:
        async with opened() as (found, carrier):
            waits = await found.submit([op("wait")])
            await carrier.arrived("wait", waits)
            asking = asyncio.create_task(found.cancel(waits))
            await asyncio.sleep(0)
            asking.cancel()
            assert await jobs.ended(found, waits) == ["canceled"]


class TestPriority:
    async def test_it_counts_among_the_queued_and_is_written(
        self, opened: jobs.Opening, place: Path
    ) -> None:
        async with opened(limit=lambda: 1) as (found, carrier):
            first = await found.submit([op("hold")])
            second, third = [n for _, n in await found.submit_many([[op()], [op()]])]
            was_changed, _ = await found.change_priority(third, -15)
            assert was_changed
            assert on_disk(place, third)["ops"][0]["priority"] == -15
            assert on_disk(place, third)["ops"][0]["input"]["priority"] == 0
            carrier.let_go(first)
            await jobs.ended(found, second, third)
            assert carrier.done("begin") == [first, third, second]

    async def test_it_counts_among_those_that_wait_for_locks(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            holder = await found.submit([op("hold lock=i")])
            await carrier.arrived("begin", holder)
            second, third = [n for _, n in await found.submit_many([[op("lock=i")]] * 2)]
            await carrier.arrived("wait", third)
            assert (await found.change_priority(third, -1))[0]
            carrier.let_go(holder)
            await jobs.ended(found, second, third)
            assert carrier.done("begin") == [holder, third, second]

    async def test_it_improves_while_a_job_waits(self, opened: jobs.Opening, place: Path) -> None:
        async with opened(bounds=queue.Bounds(aging=0.02)) as (found, carrier):
            waits = await found.submit([op("wait", priority=10), op(priority=10)])
            seen: Any = None
            async with asyncio.timeout(10):
                while seen is None or seen[0][0] > 7:
                    answer = await found.wait_for_change(waits, ["oppriority"], seen, None, 10)
                    seen = answer[0]
            assert seen[0][1] == 10
            carrier.let_go(waits)
            await jobs.ended(found, waits)
            assert on_disk(place, waits)["ops"][0]["priority"] <= 7

    async def test_what_has_ended_or_runs_has_none_to_change(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            runs = await found.submit([op("hold")])
            await carrier.arrived("begin", runs)
            assert (await found.change_priority(runs, -5))[0] is False
            carrier.let_go(runs)
            await jobs.ended(found, runs)
            # as recorded
            assert await found.change_priority(runs, -10) == (False, "Job 1 not found in queue")
            with pytest.raises(errors.BadInput):
                await found.change_priority(runs, -21)


class TestDependencies:
    async def test_relative_ones_mean_jobs_of_the_same_submission(
        self, opened: jobs.Opening
    ) -> None:
        async with opened() as (found, carrier):
            await found.submit([op()])
            made = await found.submit_many(
                [[op("hold")], [op(depends=[[-1, ["success"]]])], [op(depends=[[-2, []]])]]
            )
            numbers = [n for _, n in made]
            await carrier.arrived("begin", numbers[0])
            assert [await jobs.state(found, n) for n in numbers] == ["running", "queued", "queued"]
            [(_, second)] = await found.get([numbers[1]])
            assert second is not None
            assert second.job.ops[0].input["depends"] == [[numbers[0], ["success"]]]
            carrier.let_go(numbers[0])
            assert await jobs.ended(found, *numbers) == ["success"] * 3

    async def test_a_wrong_end_fails_and_a_canceled_one_cancels(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            made = await found.submit_many(
                [
                    [op("hold fail")],
                    [op(depends=[[-1, ["success"]]]), op()],
                    [op("wait")],
                    [op(depends=[[-1, ["success"]]])],
                    [op(depends=[[-2, ["canceled", "success"]]])],
                    [op(depends=[[-3, ["success"]]])],
                ]
            )
            failing, on_failing, canceled, on_canceled, forgiving, on_both = [n for _, n in made]
            await carrier.arrived("wait", canceled)
            await found.cancel(canceled)
            carrier.let_go(failing)
            states = await jobs.ended(found, on_failing, on_canceled, forgiving, on_both)
            assert states == ["error", "canceled", "success", "canceled"]
            [first, _] = await jobs.result(found, on_failing)
            assert first[0] == "OpExecError"
            assert str(failing) in first[1][0]
            assert on_failing not in carrier.done("begin")

    async def test_archived_jobs_count_and_lost_ones_fail(self, opened: jobs.Opening) -> None:
        async with opened() as (found, _):
            old = await found.submit([op()])
            await jobs.ended(found, old)
            assert await found.archive(old)
            fine = await found.submit([op(depends=[[old, ["success"]]])])
            lost = await found.submit([op(depends=[[4711, []]])])
            itself = await found.submit([op(depends=[[lost + 1, []]])])
            assert await jobs.ended(found, fine, lost, itself) == ["success", "error", "error"]
            assert "4711" in (await jobs.result(found, lost))[0][1][0]

    @pytest.mark.parametrize(
        "depends",
        [[[-1, []]], [[0.5, []]], [[1, "success"]], [[1, ["running"]]], [[True, []]], [1]],
    )
    async def test_nonsense_is_refused_alone(self, opened: jobs.Opening, depends: Any) -> None:
        async with opened() as (found, _):
            made = await found.submit_many(
                [[op(depends=depends)], [op()], [op(depends=[[-2, []]])]]
            )
            assert [is_accepted for is_accepted, _ in made] == [False, True, False]
            assert made[1][1] == 1
            assert isinstance(made[0][1], str)


class TestWaiting:
    async def test_news_comes_when_it_happens(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            number = await found.submit([op("hold log=hello")])
            await carrier.arrived("begin", number)
            answer = await found.wait_for_change(number, ["status", "id"], None, None, 5)
            assert answer[0] == ["running", number]
            asked = asyncio.create_task(
                found.wait_for_change(number, ["status", "id"], answer[0], 1, 5)
            )
            await asyncio.sleep(0.01)
            assert not asked.done()
            carrier.let_go(number)
            assert await asked == [["success", number], []]

    async def test_log_lines_are_told_once_each(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            number = await found.submit([op("log=one"), op("hold log=two")])
            await carrier.arrived("begin", number)
            said: list[Any] = []
            last, seen = None, None
            while len(said) < 2:
                answer = await found.wait_for_change(number, ["status"], seen, last, 5)
                seen, entries = answer
                said += [entry[2:] for entry in entries]
                last = entries[-1][0] if entries else last
            assert said == [["message", "one"], ["message", "two"]]
            assert last == 2
            carrier.let_go(number)

    async def test_nothing_new_is_said_so_after_a_while(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            number = await found.submit([op("wait")])
            await carrier.arrived("wait", number)
            assert (
                await found.wait_for_change(number, ["status"], ["waiting"], None, 0.05)
                == waiting.NO_CHANGE
                == "nochange"
            )

    async def test_one_that_has_ended_is_answered_at_once(self, opened: jobs.Opening) -> None:
        async with opened() as (found, _):
            number = await found.submit([op()])
            await jobs.ended(found, number)
            answer = await found.wait_for_change(number, ["status"], ["success"], 99, 5)
            assert answer == [["success"], []]
            await found.archive(number)
            with pytest.raises(refusals.JobLost):
                await found.wait_for_change(number, ["status"], None, None, 1)

    async def test_one_that_is_not_there_is_lost(self, opened: jobs.Opening) -> None:
        """As recorded."""
        async with opened() as (found, _):
            with pytest.raises(refusals.JobLost) as lost:
                await found.wait_for_change(9999, ["status"], None, None, 1)
            assert [lost.value.wire_code, lost.value.wire_args] == [
                "JobLost",
                ["Can't load job file"],
            ]

    async def test_a_thousand_who_wait_cost_little(self, opened: jobs.Opening) -> None:
        async with opened() as (found, carrier):
            number = await found.submit([op("wait")])
            await carrier.arrived("wait", number)
            asked = [
                asyncio.create_task(
                    found.wait_for_change(number, ["status"], ["waiting"], None, 30)
                )
                for _ in range(1000)
            ]
            await asyncio.sleep(0)
            before = time.process_time()
            await asyncio.sleep(0.2)
            assert time.process_time() - before < 0.1
            carrier.let_go(number)
            assert {answer[0][0] for answer in await asyncio.gather(*asked)} <= {
                "running",
                "success",
            }


class TestArchive:
    async def test_only_what_has_ended_goes_and_is_found_by_its_number(
        self, opened: jobs.Opening, place: Path
    ) -> None:
        async with opened() as (found, carrier):
            done, runs = [n for _, n in await found.submit_many([[op()], [op("hold")]])]
            await jobs.ended(found, done)
            assert not await found.archive(runs)
            assert not await found.archive(9999)
            assert await found.archive(done)
            assert not await found.archive(done)
            assert (place / "archive/0/job-1").exists()
            assert [n for n, _ in await found.get()] == [runs]
            assert [(n, job is None) for n, job in await found.get([done])] == [(done, True)]
            [(_, archived)] = await found.get([done], archived=True)
            assert archived is not None
            assert archived.is_archived
            assert [n for n, _ in await found.get(archived=True)] == [done, runs]
            carrier.let_go(runs)

    async def test_by_age(self, opened: jobs.Opening) -> None:
        now = 1_000_000.0
        async with opened(clock=lambda: now) as (found, _):
            numbers = [n for _, n in await found.submit_many([[op()]] * 3)]
            await jobs.ended(found, *numbers)
            now += 100
            late = await found.submit([op()])
            await jobs.ended(found, late)
            assert await found.auto_archive(100_000, 10) == (0, 0)  # as recorded
            assert await found.auto_archive(50, 10) == (3, 0)
            assert await found.auto_archive(-1, 0) == (0, 1)
            assert await found.auto_archive(-1, 10) == (1, 0)


async def test_a_drained_queue_takes_no_jobs_but_the_ones_its_own_jobs_need(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, carrier):
        number = await found.submit([op("hold submit")])
        await found.set_drain(drained=True)
        assert found.is_drained
        assert (place / "drain").exists()
        with pytest.raises(refusals.JobQueueDrainError):
            await found.submit([op()])
        with pytest.raises(refusals.JobQueueDrainError):
            await found.submit_many([[op()]])
        await found.submit([op()], even_drained=True)
        carrier.let_go(number)
        await jobs.ended(found, number)
        assert await jobs.result(found, number) == [{"jobs": [[True, 3]]}]
        await found.set_drain(drained=False)
        assert await found.submit([op()]) == 4
        [(_, child)] = await found.get([3])
        assert child is not None
        assert child.job.ops[0].input["comment"] == "Submitted by OP_TEST_DELAY"
        assert [entry[0] for entry in child.job.ops[0].input["reason"]] == [
            "gnt:client:gnt-debug",
            "gnt:opcode:test_delay",
            "gnt:opcode:test_delay",
        ]


async def test_there_are_only_so_many_jobs_until_some_are_archived(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened(bounds=queue.Bounds(most_jobs=3)) as (found, _):
        made = await found.submit_many([[op()]] * 5)
        assert [is_accepted for is_accepted, _ in made] == [True] * 3 + [False] * 2
        with pytest.raises(refusals.JobQueueFull):
            await found.submit([op()])
        await jobs.ended(found, 1, 2, 3)
        await found.archive(1)
        assert await found.submit([op()]) == 4
        (place / "job-2").unlink()  # by hand, which makes room as well
        assert await found.submit([op()]) == 5


async def test_a_file_that_nobody_accepted_keeps_its_number(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, _):
        await found.submit([op()])
        await jobs.ended(found, 1)
        (place / "job-2").write_bytes((place / "job-1").read_bytes())
        with pytest.raises(refusals.JobQueueError, match="try again"):
            await found.submit([op()])
        assert await found.submit([op()]) == 3
        assert b'"id":1' in (place / "job-2").read_bytes()


async def test_a_job_without_opcodes_or_of_nonsense_is_refused(opened: jobs.Opening) -> None:
    async with opened() as (found, _):
        for nonsense in ([], [op(priority=50)], [op(reason=[object()])]):
            with pytest.raises(errors.BadInput):
                await found.submit(nonsense)
        assert await found.submit([op()]) == 1


async def test_two_masters_cannot_have_one_queue(opened: jobs.Opening, place: Path) -> None:
    async with opened():
        with pytest.raises(errors.AlreadyRunning):
            async with queue.Queue(place, carriers.Carrier()):
                pass
    async with opened() as (found, _):
        assert await found.submit([op()]) == 1
