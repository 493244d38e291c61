"""Real hooks: in order, few at once, for a bounded time, and never in anybody's way."""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from pyganeti.base import processes
from pyganeti.kvmd.recording import hooks
from pyganeti.model import cause as causes
from pyganeti.model import evidence as evidences
from pyganeti.model import stop as stops


def _stop(number: int = 1, name: str = "web1") -> stops.Stop:
    return stops.Stop(
        name=name,
        key=f"key-{number}",
        boot_id="boot",
        socket="web1.kvmd",
        pid=4711,
        started=1000.5,
        stopped=2000.25,
        recorded=2000.5,
        cause=causes.Cause.USER_POWEROFF,
        why="the guest powered itself off",
        evidence=evidences.Evidence(pid=4711),
        qemu="7.2.0",
        number=number,
    )


class Site:
    """A hooks directory, and what the hooks in it have written."""

    def __init__(self, root: Path) -> None:
        self.hooks = root / "hooks"
        self.hooks.mkdir()
        self.out = root / "out"
        self.out.touch()

    def add(self, name: str, script: str, mode: int = 0o755) -> Path:
        path = self.hooks / name
        path.write_text(f"#!/bin/sh\nout={self.out}\n{script}\n")
        path.chmod(mode)
        return path

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    def written(self, suffix: str) -> bytes:
        return self.out.with_suffix(suffix).read_bytes()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


Begin = Callable[..., hooks.Hooks]


@pytest_asyncio.fixture
async def begin(site: Site) -> AsyncIterator[Begin]:
    begun: list[hooks.Hooks] = []

    def begin(directory: Path = site.hooks, **settings: float) -> hooks.Hooks:
        begun.append(hooks.Hooks(directory, **settings))  # type: ignore[arg-type]
        return begun[-1]

    yield begin
    for told in begun:
        await told.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process's doing
            await asyncio.sleep(0.005)


async def test_a_hook_gets_the_stop_in_its_environment_and_on_stdin(
    site: Site, begin: Begin
) -> None:
    site.add("tell", "env > $out.env; cat > $out.json")
    told = begin()
    told.submit(_stop(17, name="wéb\udcff"))
    assert await told.drain(20)
    row = json.loads(site.written(".json"))
    assert (row["number"], row["cause"], row["name"]) == (17, "user-poweroff", "wéb\\xff")
    environment = dict(line.split(b"=", 1) for line in site.written(".env").splitlines())
    assert environment[b"GANETI_STOP_NAME"] == os.fsencode("wéb\udcff")
    assert environment[b"GANETI_STOP_CAUSE"] == b"user-poweroff"
    assert environment[b"GANETI_STOP_PID"] == b"4711"
    assert environment[b"GANETI_STOP_QEMU"] == b"7.2.0"
    known = {key for key in environment if not key.startswith(b"GANETI_STOP_")}
    assert known <= {b"PATH", b"PWD", b"SHLVL", b"_", b"OLDPWD"}


async def test_hooks_run_in_the_order_of_their_names_and_only_hooks(
    site: Site, begin: Begin
) -> None:
    for name in ("20-b", "10-a", "Z_z", "no.dots", "backup~", ".hidden", "ü"):
        site.add(name, f"echo {name} >> $out")
    site.add("15-plain", "echo plain >> $out", mode=0o644)
    (site.hooks / "17-directory").mkdir()
    (site.hooks / "18-dangling").symlink_to("nowhere")
    (site.hooks / "19-link").symlink_to("10-a")
    os.mkfifo(site.hooks / "21-fifo", 0o755)
    told = begin()
    told.submit(_stop())
    assert await told.drain(20)
    assert site.lines() == ["10-a", "10-a", "20-b", "Z_z"]


async def test_a_file_that_is_not_executable_is_told_of_once(
    site: Site, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("forgotten", "", mode=0o644)
    told = begin()
    for number in range(5):
        told.submit(_stop(number))
    assert await told.drain(20)
    assert caplog.text.count("not executable") == 1


async def test_a_hook_that_fails_stops_no_other(
    site: Site, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("10-fails", "echo complaint; exit 3")
    (site.hooks / "20-garbage").write_bytes(b"\x7fELF garbage")
    (site.hooks / "20-garbage").chmod(0o755)
    (site.hooks / "30-lost").write_text("#!/no/such/interpreter\n")
    (site.hooks / "30-lost").chmod(0o755)
    site.add("40-crashes", "kill -SEGV $$")
    site.add("50-works", "echo works >> $out")
    told = begin()
    told.submit(_stop())
    assert await told.drain(20)
    assert site.lines() == ["works"]
    failures = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(failures) == 4
    assert "complaint" in failures[0]


async def test_a_hook_that_hangs_is_killed_with_all_its_children(
    site: Site, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    site.add(
        "10-hangs",
        "trap '' TERM HUP INT\n(trap '' TERM; sleep 600) & echo $! >> $out\n"
        "sleep 600 & echo $! >> $out\necho $$ >> $out\nwhile :; do wait; done",
    )
    site.add("20-next", "echo done > $out.next")
    told = begin(timeout=0.5)
    told.submit(_stop())
    assert await told.drain(20)
    assert site.written(".next") == b"done\n"
    assert "took too long" in caplog.text
    pids = [int(line) for line in site.lines()]
    assert len(pids) == 3
    await _until(lambda: all(processes.state(pid) in (None, "Z", "X") for pid in pids))


async def test_a_hook_that_floods_costs_little_and_ends(site: Site, begin: Begin) -> None:
    site.add("flood", "exec yes")
    told = begin(timeout=1)
    before = time.process_time()
    told.submit(_stop())
    assert await told.drain(20)
    assert time.process_time() - before < 0.5


async def test_a_storm_of_stops_runs_few_at_once_and_all_of_them(site: Site, begin: Begin) -> None:
    # O_APPEND makes one writer's line follow another's, so the file is the order of things.
    site.add("note", "echo begin >> $out; sleep 0.02; echo end $GANETI_STOP_NUMBER >> $out")
    told = begin()
    for number in range(200):
        told.submit(_stop(number))
    assert await told.drain(50)
    running = most = 0
    for line in site.lines():
        running += 1 if line == "begin" else -1
        most = max(most, running)
    assert most == hooks.AT_ONCE
    ended = {int(line.split()[1]) for line in site.lines() if line != "begin"}
    assert ended == set(range(200))
    assert told.dropped == 0


async def test_beyond_the_queues_bound_stops_are_dropped_loudly_but_not_noisily(
    site: Site, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    site.add("count", "echo x >> $out")
    told = begin(queue=10)
    for number in range(1000):
        told.submit(_stop(number))
    assert told.dropped == 990
    assert 0 < caplog.text.count("cannot keep up") <= 10
    assert await told.drain(20)
    assert len(site.lines()) == 10
    told.submit(_stop())
    assert await told.drain(20)
    assert len(site.lines()) == 11


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
async def test_without_hooks_a_storm_is_not_even_queued(
    site: Site, begin: Begin, tmp_path: Path, kind: str
) -> None:
    directory = {"missing": tmp_path / "nowhere", "empty": site.hooks, "file": site.out}[kind]
    told = begin(directory, queue=10)
    for number in range(1000):
        told.submit(_stop(number))
    assert told.dropped in ((990,) if kind == "file" else (0,))
    assert await told.drain(20)


async def test_hooks_may_be_installed_while_it_runs(
    begin: Begin, tmp_path: Path, site: Site
) -> None:
    os.utime(site.hooks, (1, 1))
    told = begin()
    told.submit(_stop(1))
    site.add("late", "echo $GANETI_STOP_NUMBER >> $out")
    told.submit(_stop(2))
    assert await told.drain(20)
    assert site.lines() == ["2"]


async def test_waiting_for_the_end_has_an_end(site: Site, begin: Begin) -> None:
    site.add("slow", "echo $$ >> $out; exec sleep 600")
    told = begin()
    for number in range(6):
        told.submit(_stop(number))
    await _until(lambda: len(site.lines()) == 4)
    assert not await told.drain(0.05)
    assert told.pending == 2
    await told.close()
    assert all(processes.state(int(line)) is None for line in site.lines())
    told.submit(_stop())
    assert await told.drain(0.05)
