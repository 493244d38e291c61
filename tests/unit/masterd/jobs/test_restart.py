"""What a master daemon finds when it starts, and what becomes of it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import carriers, jobs
from pyganeti.base import inotify
from pyganeti.masterd.jobs import queue, refusals

op = carriers.opcode
IN_OPEN = 0x20
IN_ISDIR = 0x40000000
MOMENT = [1795241559, 253069]


def state(status: str, words: str = "", **others: Any) -> dict[str, Any]:
    """Return an opcode as it stands in a job's file."""
    return {
        "input": op(words),
        "status": status,
        "result": None,
        "log": [],
        "priority": 0,
        "start_timestamp": None if status == "queued" else MOMENT,
        "exec_timestamp": MOMENT if status in {"running", "success"} else None,
        "end_timestamp": MOMENT if status == "success" else None,
        **others,
    }


def put(place: Path, number: int, *ops: dict[str, Any], **others: Any) -> None:
    """Put a job's file into the queue, as some master left it."""
    place.mkdir(parents=True, exist_ok=True)
    job = {
        "id": number,
        "ops": ops,
        "received_timestamp": MOMENT,
        "start_timestamp": None,
        "end_timestamp": None,
        **others,
    }
    (place / f"job-{number}").write_text(json.dumps(job))
    (place / "serial").write_text(f"{number}\n")


async def test_what_had_not_begun_runs_once_in_its_order(opened: jobs.Opening, place: Path) -> None:
    put(place, 1, state("queued"))
    put(place, 2, state("waiting"))
    put(place, 3, state("success", result="as it was"), state("queued"))
    put(place, 4, state("success"), state("waiting"))
    async with opened(limit=lambda: 1) as (found, carrier):
        assert await jobs.ended(found, 1, 2, 3, 4) == ["success"] * 4
        assert [(n, i) for what, n, i in carrier.record if what == "begin"] == [
            (1, 0),
            (2, 0),
            (3, 1),
            (4, 1),
        ]
        assert (await jobs.result(found, 3))[0] == "as it was"
        assert await found.submit([op()]) == 5


async def test_what_was_running_ends_in_an_error_that_says_what_was_interrupted(
    opened: jobs.Opening, place: Path
) -> None:
    put(
        place,
        7,
        state("success"),
        state("running", log=[[1, MOMENT, "message", "halfway"]]),
        state("queued"),
        livelock="/nonexistent/livelock",
        process_id=1,
    )
    async with opened() as (found, carrier):
        assert await jobs.ended(found, 7) == ["error"]
        kept = json.loads((place / "job-7").read_bytes())
        assert [o["status"] for o in kept["ops"]] == ["success", "error", "error"]
        name, [text] = kept["ops"][1]["result"]
        assert name == "OpExecError"
        assert "master daemon ended" in text
        assert "TEST_DELAY" in text
        assert "halfway" in text
        assert kept["end_timestamp"]
        assert not carrier.record


async def test_what_was_being_canceled_is_canceled(opened: jobs.Opening, place: Path) -> None:
    put(place, 3, state("canceling"), state("canceling"))
    async with opened() as (found, carrier):
        assert await jobs.ended(found, 3) == ["canceled"]
        assert not carrier.record


async def test_who_waits_for_another_job_still_does(opened: jobs.Opening, place: Path) -> None:
    put(place, 1, state("queued", "hold"))
    put(place, 2, {**state("queued"), "input": op(depends=[[1, ["success"]]])})
    put(place, 3, state("running"))
    put(place, 4, {**state("queued"), "input": op(depends=[[3, ["error"]]])})
    async with opened() as (found, carrier):
        assert await jobs.ended(found, 4) == ["success"]
        assert await jobs.state(found, 2) == "queued"
        carrier.let_go(1)
        assert await jobs.ended(found, 2) == ["success"]


async def test_a_broken_file_is_set_aside_and_the_rest_load(
    opened: jobs.Opening, place: Path
) -> None:
    put(place, 1, state("queued"))
    put(place, 9, state("queued"))
    (place / "job-2").write_text('{"id": 2, "ops": [')
    (place / "job-3").write_text("")
    (place / "job-4").write_text((place / "job-1").read_text())
    (place / "job-5").symlink_to("job-1")
    (place / "job-6").mkdir()
    os.mkfifo(place / "job-7")
    (place / "job-8").write_text('{"id": 8, "ops": []}')
    (place / "job-0").write_text("no number")
    (place / "job-12x").write_text("no number")
    async with opened() as (found, _):
        assert await jobs.ended(found, 1, 9) == ["success", "success"]
        assert [n for n, _ in await found.get()] == [1, 9]
        aside = {path.name for path in (place / "broken").iterdir()}
        assert aside == {f"job-{n}" for n in range(2, 9)}
        assert await found.submit([op()]) == 10


async def test_a_number_is_not_used_again_though_the_serial_file_is_lost(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, _):
        numbers = [n for _, n in await found.submit_many([[op()]] * 3)]
        await jobs.ended(found, *numbers)
        assert await found.auto_archive(-1, 10) == (3, 0)
    for damage in (b"", b"x\n", None):
        (place / "serial").unlink()
        if damage is not None:
            (place / "serial").write_bytes(damage)
        async with opened() as (found, _):
            number = await found.submit([op()])
            assert number not in numbers
            numbers.append(number)
            await jobs.ended(found, number)
            assert await found.archive(number)
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_a_queue_of_another_version_is_left_alone(opened: jobs.Opening, place: Path) -> None:
    put(place, 1, state("queued"))
    (place / "version").write_text("2\n")
    with pytest.raises(refusals.JobQueueError, match="form"):
        async with opened():
            pass
    assert json.loads((place / "job-1").read_text())["ops"][0]["status"] == "queued"


async def test_a_daemon_that_ends_lets_jobs_end_and_others_wait(
    opened: jobs.Opening, place: Path
) -> None:
    async with opened() as (found, carrier):
        runs, waits, hangs, deaf = [
            n
            for _, n in await found.submit_many(
                [[op("hold"), op()], [op("wait")], [op("hold")], [op("hold deaf")]]
            )
        ]
        for number in (runs, hangs, deaf):
            await carrier.arrived("begin", number)
        await carrier.arrived("wait", waits)
        carrier.let_go(runs)
        await carrier.arrived("done", runs)
    carrier.let_go(deaf)  # it would not end with this process, which is the test's
    async with opened() as (found, carrier):
        assert await jobs.ended(found, runs, hangs, deaf) == ["success", "error", "error"]
        for number in (hangs, deaf):
            [error] = await jobs.result(found, number)
            assert "master daemon ended" in error[1][0]
        carrier.let_go(waits)
        assert await jobs.ended(found, waits) == ["success"]
        assert {n for _, n, _ in carrier.record} <= {waits, runs}


def succeeds(command: list[str]) -> bool:
    """Run a command and tell whether it says that all is well."""
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """Have a process that keeps a file locked, as a job process of Ganeti's does."""
    path = tmp_path / "job_3_1795241559"
    path.touch()
    script = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX);"
        " print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield path, process
        process.kill()


async def test_a_job_that_another_process_carries_out_is_its_own_until_that_is_gone(
    opened: jobs.Opening,
    place: Path,
    other_process: tuple[Path, "subprocess.Popen[bytes]"],
) -> None:
    path, process = other_process
    put(place, 3, state("running"), state("queued"), livelock=str(path), process_id=process.pid)
    put(place, 4, {**state("queued"), "input": op(depends=[[3, []]])})
    async with opened() as (found, carrier):
        assert await jobs.state(found, 3) == "running"
        assert (await found.cancel(3))[0] is False
        assert (await found.change_priority(3, 5))[0] is False
        # it goes on, and tells
        put(
            place,
            3,
            state("success"),
            state("running"),
            livelock=str(path),
            process_id=process.pid,
        )
        seen: Any = ["running", "queued"]
        answer = await found.wait_for_change(3, ["opstatus"], [seen], None, 10)
        assert answer[0] == [["success", "running"]]
        assert not carrier.record
        process.kill()
        process.wait()
        assert await jobs.ended(found, 3) == ["error"]
        assert await jobs.ended(found, 4) == ["success"]
        assert [n for _, n, _ in carrier.record if _ == 3] == []


async def test_our_own_jobs_are_seen_to_live_by_ganeti(
    opened: jobs.Opening, place: Path, tmp_path: Path
) -> None:
    """It tries for a read lock on the file that the job names (src/Ganeti/Utils/Livelock.hs)."""
    async with opened() as (found, carrier):
        number = await found.submit([op("hold")])
        await carrier.arrived("begin", number)
        kept = json.loads((place / f"job-{number}").read_bytes())
        assert kept["process_id"] == os.getpid()
        check = (
            "import fcntl, sys; f = open(sys.argv[1]);"
            " fcntl.lockf(f, fcntl.LOCK_SH | fcntl.LOCK_NB)"
        )
        command = [sys.executable, "-c", check, kept["livelock"]]
        assert await asyncio.to_thread(succeeds, command) is False
        carrier.let_go(number)
        await jobs.ended(found, number)
    assert not (tmp_path / "livelocks" / kept["livelock"]).exists()


async def test_ganetis_master_is_kept_out(opened: jobs.Opening, place: Path) -> None:
    """Its luxid locks the file ``lock`` with fcntl, for as long as it runs."""
    check = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+');"
        " fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", check, str(place / "lock")]
    async with opened():
        assert await asyncio.to_thread(succeeds, command) is False
    assert await asyncio.to_thread(succeeds, command) is True


async def test_the_archive_is_not_looked_at_to_start_or_to_find_a_job(
    opened: jobs.Opening, place: Path
) -> None:
    for number in range(1, 51):
        put(place, number, state("success"), end_timestamp=MOMENT)
    (place / "serial").write_text("900000\n")
    (place / "archive/0").mkdir(parents=True)
    (place / "job-50").rename(place / "archive/0/job-50")
    looks = inotify.Inotify()
    try:
        for directory in ("archive", "archive/0"):
            looks.add(str(place / directory), IN_OPEN)
        async with opened() as (found, _):
            assert len(found.numbers) == 49
            assert await found.submit([op(depends=[[1, []]])]) == 900001
            assert await jobs.ended(found, 900001) == ["success"]
            assert looks.read() == []
            [(_, archived)] = await found.get([50], archived=True)
            assert archived is not None
            # the directory is opened for the one name in it, and never read
            assert {name for _, mask, name in looks.read() if not mask & IN_ISDIR} == {"job-50"}
    finally:
        looks.close()


async def test_what_a_killed_daemon_left_half_written_is_cleared_away(
    opened: jobs.Opening, place: Path
) -> None:
    put(place, 1, state("queued"))
    (place / ".new-job-2").write_text("half")
    async with opened() as (found, _):
        assert await jobs.ended(found, 1) == ["success"]
        assert not (place / ".new-job-2").exists()


def test_the_bounds_are_ganetis() -> None:
    assert queue.Bounds().most_jobs == 5000
    assert queue.Bounds().aging == 10 * 3600 / 20
    assert queue.RUNNING == 20
