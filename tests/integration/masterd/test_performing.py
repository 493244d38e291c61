import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab import clusters, masterparts
from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.model.opcodes import backup, query, tags, testing
from pyganeti.wire import luxierrors


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[masterparts.Parts]:
    async with masterparts.opened(tmp_path, masterparts.offline(clusters.small())) as opened:
        yield opened


async def test_an_opcode_is_carried_out_and_its_result_kept(parts: masterparts.Parts) -> None:
    assert await parts.run(testing.TestDelay(duration=0.01)) == [None]
    assert await parts.run(testing.TestDummy(result={"a": 1})) == [{"a": 1}]


async def test_what_does_not_make_sense_is_refused_with_its_code(
    parts: masterparts.Parts,
) -> None:
    with pytest.raises(errors.BadInput, match="greater than zero") as refused:
        await parts.run(testing.TestDelay(duration=0))
    assert refused.value.code == "wrong_input"
    with pytest.raises(errors.BadInput, match="not known") as refused:
        await parts.run(tags.TagsGet(kind="instance", name="nosuch"))
    assert refused.value.code == "unknown_entity"


async def test_an_opcode_that_is_not_there_answers_so_by_name(parts: masterparts.Parts) -> None:
    with pytest.raises(errors.BadInput, match="OP_BACKUP_PREPARE cannot be carried out"):
        await parts.run(backup.BackupPrepare(instance_name="x", mode="local"))


async def test_a_failure_ends_the_job_and_what_comes_after_it(parts: masterparts.Parts) -> None:
    job = await parts.submit(
        testing.TestDummy(messages=["one"], fail=True), testing.TestDummy(messages=["two"])
    )

    assert await parts.ended(job) == "error"
    assert await parts.said(job) == ["one"]


async def test_the_configuration_is_changed_durably(parts: masterparts.Parts) -> None:
    instance = next(iter(parts.config.current.instances.values()))
    before = parts.config.current.serial_no

    await parts.run(
        tags.TagsSet(kind="instance", name=instance.name, tags=["b", "a"]),
        tags.TagsSet(kind="cluster", tags=["c"]),
    )

    assert await parts.run(tags.TagsGet(kind="instance", name=instance.name)) == [
        ["a", "b", *instance.tags]
    ]
    assert parts.config.current.serial_no > before
    assert await parts.run(tags.TagsSearch(pattern="^[ac]$")) == [
        [["/cluster", "c"], [f"/instances/{instance.name}", "a"]]
    ]
    await parts.run(tags.TagsDel(kind="instance", name=instance.name, tags=["a"]))
    assert await parts.run(tags.TagsGet(kind="instance", name=instance.name)) == [
        ["b", *instance.tags]
    ]
    with pytest.raises(errors.BadInput, match="'a' not found"):
        await parts.run(tags.TagsDel(kind="instance", name=instance.name, tags=["a"]))


@pytest.mark.parametrize("tag", ["a b", "", "x" * 129, "é"])
async def test_a_tag_that_is_none_is_refused(parts: masterparts.Parts, tag: str) -> None:
    with pytest.raises(errors.BadInput, match="Tag"):
        await parts.run(tags.TagsSet(kind="cluster", tags=["good", tag]))
    assert parts.config.current.cluster.tags == ()


async def test_a_dry_run_checks_and_changes_nothing(parts: masterparts.Parts) -> None:
    before = parts.config.current

    job = await parts.submit(tags.TagsSet(kind="cluster", tags=["x"], dry_run=True))

    assert await parts.ended(job) == "success"
    assert parts.config.current is before
    assert any("dry-run" in text for text in await parts.said(job))
    with pytest.raises(errors.BadInput, match="Tag"):
        await parts.run(tags.TagsSet(kind="cluster", tags=["x y"], dry_run=True))


async def test_who_wants_what_another_has_waits_for_it(parts: masterparts.Parts) -> None:
    instance = next(iter(parts.config.current.instances.values()))
    held = await parts.locks.acquire(
        "somebody", {levels.Level.INSTANCE: levels.exclusive([instance.name])}
    )

    job = await parts.submit(tags.TagsSet(kind="instance", name=instance.name, tags=["x"]))
    free = await parts.submit(tags.TagsSet(kind="cluster", tags=["y"]))

    assert await parts.ended(free) == "success"
    [[status]] = await parts.values(job, "status")
    assert status in {"queued", "waiting"}
    held.release()
    assert await parts.ended(job) == "success"


async def test_an_object_that_goes_while_its_lock_is_waited_for_is_not_found(
    parts: masterparts.Parts,
) -> None:
    instance = next(iter(parts.config.current.instances.values()))
    held = await parts.locks.acquire(
        "somebody", {levels.Level.INSTANCE: levels.exclusive([instance.name])}
    )
    job = await parts.submit(tags.TagsSet(kind="instance", name=instance.name, tags=["x"]))
    while not any(row.pending for row in parts.locks.describe()):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    await parts.config.change(lambda draft: draft.remove_instance(instance))
    held.release()

    assert await parts.ended(job) == "error"
    assert not parts.locks.describe()


async def test_a_delay_ends_early_when_somebody_knocks(parts: masterparts.Parts) -> None:
    job = await parts.submit(testing.TestDelay(duration=20, interruptible=True))
    while not (said := await parts.said(job)):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    [[path]] = said

    _, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x")
    await writer.drain()

    assert await parts.ended(job) == "success"
    writer.close()
    assert not await asyncio.to_thread(Path(path).exists)


async def test_queries_are_answered_as_jobs(parts: masterparts.Parts) -> None:
    [answer] = await parts.run(query.Query(what="node", fields=["name", "offline"]))
    [fields] = await parts.run(query.QueryFields(what="node", fields=["name"]))

    assert [row[1] for row in answer["data"]] == [[0, True]] * 3
    assert fields["fields"][0]["name"] == "name"


async def test_every_failure_has_its_name_on_the_wire(parts: masterparts.Parts) -> None:
    job = await parts.submit(testing.TestDummy(fail=True))
    await parts.ended(job)
    [[results]] = await parts.values(job, "opresult")

    assert luxierrors.looks_encoded(results[0])
