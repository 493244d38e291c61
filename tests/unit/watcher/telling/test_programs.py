import collections
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab import happenings, journals
from pyganeti.watcher import events
from pyganeti.watcher.telling import programs


class _Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder.parent / "out"
        self.seen: collections.Counter[str] = collections.Counter()
        folder.mkdir()

    def write(self, name: str, body: str, mode: int = 0o755) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(mode)

    def count(self, outcome: str) -> None:
        self.seen[outcome] += 1

    @property
    def lines(self) -> list[str]:
        return self.out.read_text().splitlines() if self.out.exists() else []

    @contextlib.asynccontextmanager
    async def running(
        self, timeout: float = 20.0, most: int = 1000
    ) -> AsyncIterator[programs.Programs]:
        found = programs.Programs(
            self.folder, lambda: "c", observed=self.count, timeout=timeout, most=most
        )
        found.start()
        try:
            yield found
        finally:
            await found.close(20.0)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path / "d")


async def test_each_program_gets_the_event_and_nothing_else(place: _Place) -> None:
    place.write(
        "a", f"env | grep -v '^PWD=\\|^_=\\|^SHLVL=' | sort >>{place.out}; cat >>{place.out}"
    )
    place.write("b.sh", f"echo bad name >>{place.out}")
    place.write("c", f"echo not executable >>{place.out}", 0o644)
    async with place.running() as told:
        await told.on_event(happenings.an_event())
    *environment, row = place.lines
    assert json.loads(row)["instance"] == "web1.example.com"
    assert "GANETI_EVENT=restarted" in environment
    assert "GANETI_JOB=17" in environment
    assert {line.partition("=")[0].partition("_")[0] for line in environment} == {"GANETI", "PATH"}
    assert place.seen == {"succeeded": 1}


async def test_one_instance_is_told_in_order_and_another_beside_it(place: _Place) -> None:
    gate = Path(f"{place.out}.gate")
    place.write(
        "a",
        f"while [ $GANETI_INSTANCE = slow ] && ! [ -e {gate} ]; do sleep 0.02; done\n"
        f"echo $GANETI_INSTANCE $GANETI_ATTEMPT >>{place.out}",
    )
    async with place.running() as told:
        for attempt in (1, 2, 3):
            await told.on_event(happenings.an_event(instance="slow", attempt=attempt))
            await told.on_event(happenings.an_event(instance="quick", attempt=attempt))
        await journals.until(lambda: len(place.lines) == 3)
        assert place.lines == ["quick 1", "quick 2", "quick 3"]
        gate.touch()  # noqa: ASYNC240 - a moment
    assert place.lines[3:] == ["slow 1", "slow 2", "slow 3"]


async def test_one_that_fails_or_hangs_keeps_no_other_from_running(place: _Place) -> None:
    place.write("a", "exit 3")
    place.write("b", "sleep 60")
    place.write("c", f"echo $GANETI_EVENT >>{place.out}")
    async with place.running(timeout=0.3) as told:
        await told.on_event(happenings.an_event(kind=events.Kind.GAVE_UP))
    assert place.lines == ["gave-up"]
    assert place.seen == {"failed": 2, "succeeded": 1}


async def test_of_too_many_the_oldest_is_dropped_and_nobody_waits(place: _Place) -> None:
    place.write("a", f"echo $GANETI_ATTEMPT >>{place.out}")
    async with place.running(most=2) as told:
        for attempt in range(5):
            await told.on_event(happenings.an_event(attempt=attempt))
    assert place.lines == ["3", "4"]
    assert place.seen["dropped"] == 3


async def test_without_a_folder_nothing_happens_and_it_may_come_later(place: _Place) -> None:
    place.folder.rmdir()
    async with place.running() as told:
        await told.on_event(happenings.an_event(attempt=1))
        await told.close(10.0)
        told.start()
        place.folder.mkdir()
        place.write("a", f"echo $GANETI_ATTEMPT >>{place.out}")
        await told.on_event(happenings.an_event(attempt=2))
    assert place.lines == ["2"]
