"""A change is durable when it returns, sees all before it, or is as if it never had been."""

import asyncio
import contextlib
import inspect
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import configurations
from lab.etcd import backings
from pyganeti.base import errors, paths
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import filestore, generations, state, store
from pyganeti.model.config import datafile, entries
from pyganeti.model.config.snapshot import Snapshot

replace = msgspec.structs.replace


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1.example.com")
    filestore.create(made, entries.from_snapshot(configurations.of(30)))
    return made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try on a configuration in etcd as well what does not look at the file."""
    if "kind" in metafunc.fixturenames:
        looks_at_files = "layout" in inspect.signature(metafunc.function).parameters
        metafunc.parametrize("kind", ["files"] if looks_at_files else ["files", "etcd"])


@pytest.fixture
async def config(
    layout: paths.Paths, kind: str, request: pytest.FixtureRequest
) -> AsyncIterator[state.Config]:
    if kind == "files":
        async with state.opened(filestore.FileStore(layout)) as opened:
            yield opened
        return
    async with backings.led(request.getfixturevalue("etcd")) as led:
        kept = led.store()
        await kept.create(entries.from_snapshot(configurations.of(30)))
        async with state.opened(kept) as opened:
            yield opened


def _stored(layout: paths.Paths) -> Snapshot:
    return entries.to_snapshot(datafile.parse(layout.config_data.read_bytes()))


def _tag(name: str, tag: str) -> Callable[[drafts.Draft], int]:
    def edit(draft: drafts.Draft) -> int:
        instance = draft.snapshot.instance(name)
        return draft.put(replace(instance, tags=(*instance.tags, tag))).serial_no

    return edit


async def test_a_change_is_on_disk_when_it_returns(
    config: state.Config, layout: paths.Paths
) -> None:
    before = config.current
    assert await config.change(_tag("inst1", "new")) == 2
    assert config.current.instance("inst1").tags == ("example", "new")
    assert _stored(layout) == config.current
    assert config.current.serial_no == before.serial_no + 1
    assert before.instance("inst1").tags == ("example",)
    assert config.current.nodes is before.nodes


async def test_twenty_at_once_go_in_few_writes_and_all_are_there(
    config: state.Config, layout: paths.Paths
) -> None:
    told: list[int] = []
    config.follow(lambda snapshot: told.append(snapshot.serial_no))
    first = config.current.serial_no
    numbers = await asyncio.gather(
        *(config.change(_tag(f"inst{number % 7 + 1}", str(number))) for number in range(20))
    )
    assert sorted(numbers) == sorted(2 + number // 7 for number in range(20))
    assert config.current.serial_no == first + 20
    assert _stored(layout) == config.current
    assert len(generations.found(layout.config_generations)) == len(told) <= 3
    assert told[-1] == first + 20
    tags = [tag for held in config.current.instances.values() for tag in held.tags[1:]]
    assert sorted(tags, key=int) == [str(number) for number in range(20)]


async def test_a_follower_s_fault_stops_nobody(
    config: state.Config, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []

    def fails(_: Snapshot) -> None:
        raise KeyError("a fault")

    config.follow(fails)
    config.follow(lambda snapshot: told.append(snapshot.serial_no))
    await config.change(_tag("inst1", "a"))
    await config.change(_tag("inst1", "b"))
    assert len(told) == 2
    assert "a follower of the configuration failed" in caplog.text


async def test_an_edit_sees_what_is_not_written_yet(config: state.Config) -> None:
    first = asyncio.create_task(config.change(_tag("inst1", "a")))
    await asyncio.sleep(0)
    assert config.current.instance("inst1").tags == ("example",)
    seen = await config.change(lambda draft: draft.snapshot.instance("inst1").tags)
    assert seen == ("example", "a")
    assert first.done() or config.current.instance("inst1").tags == seen
    await first


async def test_what_an_edit_raises_changes_nothing(
    config: state.Config, layout: paths.Paths
) -> None:
    before, data = config.current, layout.config_data.read_bytes()

    def fails(draft: drafts.Draft) -> None:
        _tag("inst1", "never")(draft)
        raise errors.BadInput("no")

    with pytest.raises(errors.BadInput, match=r"^no$"):
        await config.change(fails)
    with pytest.raises(errors.BadInput, match="another instance of that name"):
        await config.change(
            lambda draft: draft.put(
                replace(draft.snapshot.instance("inst1"), name="inst2.example.com")
            )
        )
    assert await config.change(lambda _: 5) == 5
    assert config.current is before
    assert layout.config_data.read_bytes() == data
    assert await config.change(_tag("inst1", "next")) == 2


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", short_dir], check=True)
    try:
        yield short_dir
    finally:
        subprocess.run(["umount", short_dir], check=True)


@pytest.mark.root
async def test_a_full_disk_undoes_what_it_refuses_and_all_on_top_of_it(small_disk: Path) -> None:
    layout = paths.Paths(small_disk, "node1.example.com")
    filestore.create(layout, entries.from_snapshot(configurations.of(20)))
    async with state.opened(filestore.FileStore(layout)) as config:
        before = config.current
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        first = asyncio.create_task(config.change(_tag("inst1", "a")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        outcomes = await asyncio.gather(
            first, *(config.change(_tag("inst1", "b")) for _ in range(3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [errors.Exhausted] * 4
        assert config.current is before
        assert _stored(layout) == before
        ballast.unlink()
        assert await config.change(_tag("inst1", "c")) == 2
        assert config.current.instance("inst1").tags == ("example", "c")
        assert _stored(layout) == config.current


async def test_after_somebody_else_s_writing_changes_are_refused(
    config: state.Config, layout: paths.Paths
) -> None:
    theirs = json.dumps(json.loads(layout.config_data.read_bytes())).encode()
    layout.config_data.write_bytes(theirs)
    before = config.current
    for _ in range(2):
        with pytest.raises(store.Conflict, match="restart the master daemon"):
            await config.change(_tag("inst1", "a"))
    assert layout.config_data.read_bytes() == theirs
    assert config.current is before


async def test_who_gives_up_waiting_does_not_undo_the_change(
    config: state.Config, layout: paths.Paths
) -> None:
    waiting = asyncio.create_task(config.change(_tag("inst1", "a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await config.change(_tag("inst1", "b"))
    assert config.current.instance("inst1").tags == ("example", "a", "b")
    assert _stored(layout) == config.current


async def test_closing_waits_for_what_was_changed(layout: paths.Paths) -> None:
    async with state.opened(filestore.FileStore(layout)) as config:
        waiting = asyncio.create_task(config.change(_tag("inst1", "last")))
        await asyncio.sleep(0)
    await waiting
    assert _stored(layout).instance("inst1").tags[-1] == "last"
    with pytest.raises(RuntimeError, match="closed"):
        await config.change(_tag("inst1", "later"))
    async with state.opened(filestore.FileStore(layout)) as config:
        assert config.current.instance("inst1").tags[-1] == "last"


async def test_what_the_body_raises_comes_out_as_it_is(layout: paths.Paths) -> None:
    with pytest.raises(errors.Failure, match=r"^mine$"):
        async with state.opened(filestore.FileStore(layout)):
            raise errors.Failure("mine")


async def test_what_is_wrong_at_the_start_is_said_and_opened_nevertheless(
    layout: paths.Paths, caplog: pytest.LogCaptureFixture
) -> None:
    whole: dict[str, Any] = json.loads(layout.config_data.read_bytes())
    instance = whole["instances"][configurations.uuid(4, 1)]
    instance["primary_node"] = "gone"
    layout.config_data.write_text(json.dumps(whole))
    async with state.opened(filestore.FileStore(layout)) as config:
        assert [str(found) for found in config.verify()] == [
            "instance inst1.example.com: its primary node 'gone' does not exist"
        ]
        await config.change(_tag("inst2", "a"))
    assert "something is wrong with the configuration" in caplog.text
    assert "'gone' does not exist" in caplog.text


async def test_a_second_master_daemon_is_refused(layout: paths.Paths, config: state.Config) -> None:
    with pytest.raises(errors.AlreadyRunning):
        async with state.opened(filestore.FileStore(layout)):
            pytest.fail("two masters")
    await config.change(_tag("inst1", "a"))


async def test_another_version_is_refused_before_anything_is_written(layout: paths.Paths) -> None:
    data = layout.config_data.read_bytes().replace(b"3000000", b"3010000")
    layout.config_data.write_bytes(data)
    with pytest.raises(errors.Denied, match=r"Ganeti 3\.1"):
        async with state.opened(filestore.FileStore(layout)):
            pytest.fail("opened")
    assert layout.config_data.read_bytes() == data
