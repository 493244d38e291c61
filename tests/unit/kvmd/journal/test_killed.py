"""kill -9 while recording: what was reported as stored is there, once, and nothing is half done."""

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

from lab import examples
from pyganeti.clients import stopjournal
from pyganeti.kvmd.journal import journal

_CHILD = Path(__file__).with_name("child.py")
_ROOT = _CHILD.parents[4]
_STOPS = 6
_SEED = 20240531


def _spawn(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(_CHILD), *map(str, words)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'src'}"},
    )


def _told_stored(text: bytes) -> list[str]:
    whole = text.decode().rpartition("\n")[0].splitlines()
    return [line.split()[1] for line in whole if line.startswith("stored ")]


@pytest.mark.parametrize("part", range(2))
@pytest.mark.timeout(120)
def test_a_kill_at_any_step_of_the_writer_leaves_each_guest_recorded_or_watched(
    tmp_path: Path, part: int
) -> None:
    with _spawn("remember", tmp_path / "watched.sqlite") as child:
        assert child.wait(timeout=20) == 0
    with _spawn("steps", tmp_path, 1 + part, 4000, 2) as child:
        out, _ = child.communicate(timeout=110)
    assert child.returncode == 0
    last, outcome = out.split()
    assert outcome == b"0", "the last one got through"
    assert int(last) > 200, "the steps really were steps of the writer"
    everyone = {examples.a_stop(number).key for number in range(1, _STOPS + 1)}
    for place in (found for found in tmp_path.iterdir() if found.is_dir()):
        told_file = place / "told"
        told = _told_stored(told_file.read_bytes()) if told_file.exists() else []
        with stopjournal.Reader(place / "journal.sqlite") as reader:
            stored = [stop.key for stop in reader.stops()]
            watched = {guest.key for guest in reader.watched()}
        assert len(told) == len(set(told)), place
        assert set(told) <= set(stored), place
        assert len(stored) == len(set(stored)), place
        assert watched == everyone - set(stored), place


async def test_after_a_kill_the_rest_is_recorded_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    chance = random.Random(_SEED)
    told: list[str] = []
    begun = 0
    for _ in range(12):
        with _spawn("endless", path, begun) as child:
            assert child.stdout is not None
            wanted = chance.randint(1, 60_000)  # bytes told, then some time within a commit
            found = b""
            while len(found) < wanted:
                found += os.read(child.stdout.fileno(), 4096)
            select.select([], [], [], chance.random() / 1000)
            child.kill()
            while more := os.read(child.stdout.fileno(), 65536):
                found += more
        told += _told_stored(found)
        begun += len(found)  # more than there were stops, so keys are new
    with stopjournal.Reader(path) as reader:
        stops = list(reader.stops())
        watched = {guest.key for guest in reader.watched()}
    stored = [stop.key for stop in stops]
    assert len(told) == len(set(told))
    assert set(told) <= set(stored)
    assert len(stored) == len(set(stored))
    assert not watched & set(stored)
    assert [stop.number for stop in stops] == sorted({stop.number for stop in stops})

    kept = journal.Journal.open(path)
    answers: list[journal.Outcome] = []
    for stop in stops[-50:]:
        kept.record(stop, lambda _, outcome: answers.append(outcome))
    assert kept.close()
    assert set(answers) == {journal.Outcome.KNOWN}
    with stopjournal.Reader(path) as reader:
        assert sum(1 for _ in reader.stops()) == len(stops)
