"""A cluster is moved into etcd and back, and whoever is killed over that can do it again."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import carriers, clusters, dyingmove
from lab.etcd import etcds
from pyganeti.base import errors, paths
from pyganeti.masterd.backing.etcd import moving
from pyganeti.masterd.config import filestore
from pyganeti.masterd.jobs import files, lifecycle, submission
from pyganeti.model.config import datafile, entries
from pyganeti.wire import jobfile, storefile

JOBS = 7
_PREFIXES = itertools.count(1)


@pytest.fixture(scope="module")
def etcd() -> Iterator[etcds.Etcd]:
    if why_not := etcds.why_not():
        pytest.skip(why_not)
    with etcds.here() as running:
        yield running


@pytest.fixture
def store(etcd: etcds.Etcd, tmp_path: Path) -> Path:
    kept = storefile.Etcd(endpoints=etcd.endpoints, prefix=f"/ganeti/moving-{next(_PREFIXES)}/")
    path = tmp_path / "wanted.json"
    path.write_bytes(storefile.encode(kept))
    return path


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    return made(tmp_path / "root")


@pytest.fixture(scope="module")
def steps(etcd: etcds.Etcd, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Count the steps of a move, both ways."""
    place = tmp_path_factory.mktemp("steps")
    kept = storefile.Etcd(endpoints=etcd.endpoints, prefix="/ganeti/steps/")
    path = place / "wanted.json"
    path.write_bytes(storefile.encode(kept))
    layout = made(place / "root")
    return {to: int(die(layout, to, 0, path).stdout) for to in ("etcd", "files")}


def made(root: Path) -> paths.Paths:
    """Make a cluster in files, with jobs and an archived one; its queue is drained."""
    snapshot = clusters.small()
    found = paths.Paths(root, snapshot.master.name)
    filestore.create(found, entries.from_snapshot(snapshot))
    directory = files.Directory(found.queue_dir)
    directory.open()
    writes = [files.Write(n, jobfile.encode(ended(n)), is_new=True) for n in range(1, JOBS + 2)]
    assert not any(directory.write(writes, JOBS + 1).values())
    directory.archive([JOBS + 1])
    directory.set_drained(drained=True)
    directory.close()
    return found


def ended(number: int) -> jobfile.Job:
    """Make a job that has ended."""
    job = submission.make(number, [carriers.opcode()], [], 1_700_000_000.0)
    moment = (1_700_000_001, 0)
    running = lifecycle.begin(lifecycle.wait(job, 0, moment), 0, moment, None, 1)
    return lifecycle.succeed(running, 0, None, moment)


def contents(layout: paths.Paths) -> tuple[object, dict[int, bytes], int, bool, list[int]]:
    """Return all that the files of a cluster say."""
    held = datafile.parse(layout.config_data.read_bytes())
    directory = files.Directory(layout.queue_dir)
    directory.open()
    try:
        numbers = sorted(directory.numbers())
        return (
            {name: json.loads(piece) for name, piece in held.items()},
            {number: directory.content(number) or b"" for number in numbers},
            directory.last_number(numbers),
            directory.is_drained(),
            directory.archived_numbers(),
        )
    finally:
        directory.close()


def die(layout: paths.Paths, to: str, step: int, store: Path) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "lab.dyingmove", str(layout.root), layout.node_name, to]
    return subprocess.run(
        [*line, str(step), str(store)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[4],
    )


async def test_there_and_back_nothing_is_lost(layout: paths.Paths, store: Path) -> None:
    before = contents(layout)
    await dyingmove.move(layout, "etcd", store)
    assert layout.store_file.exists()
    assert contents(layout)[1] == {}
    await dyingmove.move(layout, "etcd", store)  # once more is no harm
    await dyingmove.move(layout, "files", store)
    assert contents(layout) == before
    assert not layout.store_file.exists()
    await dyingmove.move(layout, "files", store)
    await dyingmove.move(layout, "etcd", store)  # over what the first time has left
    await dyingmove.move(layout, "files", store)
    assert contents(layout) == before


async def test_what_is_in_etcd_already_is_left_alone(
    layout: paths.Paths, store: Path, tmp_path: Path
) -> None:
    await dyingmove.move(layout, "etcd", store)
    other = paths.Paths(tmp_path / "other", layout.node_name)
    filestore.create(other, entries.from_snapshot(clusters.small()))
    before = contents(other)
    with pytest.raises(errors.BadInput, match="choose another prefix"):
        await dyingmove.move(other, "etcd", store)
    assert contents(other) == before
    await dyingmove.move(layout, "files", store)


async def test_an_etcd_that_is_not_reached_costs_no_daemon(
    layout: paths.Paths, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere.json"
    kept = storefile.Etcd(endpoints=("http://127.0.0.1:1",), prefix="/ganeti/nowhere/")
    nowhere.write_bytes(storefile.encode(kept))
    before = contents(layout)
    ended: list[str] = []
    with pytest.raises(errors.Unavailable, match="etcd has not answered"):
        await dyingmove.move(layout, "etcd", nowhere, ended)
    assert ended == []
    assert contents(layout) == before


async def test_no_master_daemon_begins_while_its_files_are_moved(
    layout: paths.Paths, store: Path
) -> None:
    before = contents(layout)
    begins = filestore.FileStore(layout)
    async with begins.lease():
        with pytest.raises(errors.AlreadyRunning):
            await dyingmove.move(layout, "etcd", store)
    assert contents(layout) == before
    # Two that move it at once: one does, the other is refused or finds it done.
    both = await asyncio.gather(
        *(dyingmove.move(layout, "etcd", store) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(outcome, errors.AlreadyRunning) for outcome in both) <= 1
    assert None in both
    await dyingmove.move(layout, "files", store)
    assert contents(layout) == before


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("to", ["etcd", "files"])
def test_whoever_is_killed_over_it_does_it_again(
    layout: paths.Paths, store: Path, steps: dict[str, int], to: str, share: float
) -> None:
    before = contents(layout)
    if to == "files":
        asyncio.run(dyingmove.move(layout, "etcd", store))
    died = die(layout, to, round(share * steps[to]), store)
    assert died.returncode != 0
    is_decided = layout.store_file.exists() is (to == "etcd")
    if to == "etcd" and not is_decided:
        assert contents(layout) == before
    asyncio.run(dyingmove.move(layout, to, store))
    if to == "etcd":
        asyncio.run(dyingmove.move(layout, "files", store))
    assert contents(layout) == before


async def test_who_moves_it_no_more_takes_nothing_back(
    layout: paths.Paths, store: Path, etcd: etcds.Etcd
) -> None:
    kept = storefile.decode(await asyncio.to_thread(store.read_bytes))
    others = {f"{kept.prefix}moving": '{"to":"etcd","node":"node2"}', f"{kept.prefix}config/x": "x"}

    async def stop() -> None:
        pass

    def say(text: str) -> None:
        if text.startswith("writing"):
            for key, value in others.items():
                etcd.member.control("put", key, value)
            raise errors.Interrupted("somebody pulled the plug")

    with pytest.raises(errors.Interrupted, match="plug"):
        await moving.to_etcd(layout, kept, stop, say, seconds=3)
    for key, value in others.items():
        assert etcd.member.control("get", "--print-value-only", key).strip() == value
    assert not layout.store_file.exists()
