"""Who is the master, as a node daemon is told it, and what it does by that."""

from pathlib import Path
from typing import Any

import pytest

from lab import clusters, nodedaemons
from pyganeti.base import errors
from pyganeti.clients import node as clients
from pyganeti.model.config import datafile, entries
from pyganeti.wire import epochs, noderpc

_YES = True
FIRST, SECOND = epochs.of(3, nodedaemons.NAME), epochs.of(4, "node2.example.com")


async def call(
    noded: nodedaemons.Noded, said: epochs.Epoch | None, name: str, *arguments: object
) -> Any:
    async with clients.Caller(noded.context(), port=noded.port, epoch=lambda: said) as caller:
        return await caller.call("127.0.0.1", name, arguments, timeout=20)


async def test_a_deposed_master_is_refused_and_told_who_is_also_after_a_kill(
    noded: nodedaemons.Noded,
) -> None:
    drain = ("jobqueue_set_drain_flag", _YES)
    await call(noded, None, *drain)
    await call(noded, None, "master_promise", *FIRST)
    await call(noded, FIRST, *drain)
    await call(noded, None, "master_promise", *SECOND)
    noded.kill()
    noded.start()
    for said in (FIRST, None):
        with pytest.raises(clients.Deposed, match="the master is node2") as raised:
            await call(noded, said, *drain)
        assert raised.value.known == SECOND
    with pytest.raises(clients.Deposed):
        await call(noded, FIRST, "master_promise", *FIRST)
    await call(noded, SECOND, *drain)
    assert await call(noded, None, "version") == noderpc.PROTOCOL
    with pytest.raises(errors.Refused, match="not an epoch"):
        await call(noded, None, "master_promise", 0, "node2")


async def test_ganetis_programs_are_obeyed_where_nothing_was_promised(
    noded: nodedaemons.Noded,
) -> None:
    assert await call(noded, None, "jobqueue_set_drain_flag", _YES) is None
    assert await call(noded, None, "master_standing") == {
        "epoch": 0,
        "master": "",
        "config": None,
        "queue": None,
        "prefix": "",
    }
    assert noded.post("/version", b"[]", headers={epochs.HEADER: "soon"})[0] == 400


async def test_how_new_the_copies_are_can_be_asked_for_and_they_can_be_had(
    noded: nodedaemons.Noded,
) -> None:
    content = datafile.Pieces(entries.from_snapshot(clusters.small())).render()
    blob = noderpc.encode_blob(content)
    upload = ("/var/lib/ganeti/config.data", blob, 0o640, "root", "root", 1, 1)
    await call(noded, FIRST, "upload_file_single", *upload)
    place = "/var/lib/ganeti/queue"
    good = b'{"version":1,"epoch":3,"number":2,"master":"u1","names":["u2"]}'
    for name, data in (("serial", b"17\n"), ("candidates", good), ("job-5", b"five")):
        await call(noded, FIRST, "jobqueue_update", f"{place}/{name}", noderpc.encode_blob(data))
    standing = await call(noded, None, "master_standing")
    serial = clusters.small().serial_no
    assert standing["config"] == {"epoch": 3, "serial": serial}
    assert (standing["epoch"], standing["master"]) == FIRST
    assert standing["queue"]["serial"] == 17
    assert standing["queue"]["good"]["names"] == ["u2"]
    found = await call(noded, SECOND, "master_config")
    assert (noderpc.decode_blob(found["data"]), found["epoch"]) == (content, 3)
    await call(noded, SECOND, "upload_file_single", *upload)
    assert (await call(noded, None, "master_standing"))["config"]["epoch"] == 4
    jobs = await call(noded, None, "master_jobs", 0)
    assert [(n, noderpc.decode_blob(data)) for n, data in jobs["jobs"]] == [(5, b"five")]
    assert (jobs["serial"], jobs["drained"], jobs["more"]) == (17, False, False)


async def test_all_jobs_come_however_many_they_are(noded: nodedaemons.Noded) -> None:
    noded.layout.queue_dir.mkdir(parents=True)
    for number in range(1, 451):
        (noded.layout.queue_dir / f"job-{number}").write_bytes(b"x" * number)
    got: list[int] = []
    while True:
        jobs = await call(noded, None, "master_jobs", got[-1] if got else 0)
        got += [number for number, _ in jobs["jobs"]]
        if not jobs["more"]:
            break
    assert got == list(range(1, 451))


def _program(noded: nodedaemons.Noded) -> Path:
    """Have the site's program take the address, and say what it is told."""
    program = noded.layout.config_dir / "scripts/master-ip-setup"
    program.parent.mkdir(parents=True)
    said = noded.layout.root / "said"
    program.write_text(f"#!/bin/sh\necho $1 $MASTER_IP >>{said}\n")
    program.chmod(0o755)
    return said


async def test_a_node_gives_the_address_up_when_another_is_the_master(
    noded: nodedaemons.Noded,
) -> None:
    said = _program(noded)
    address = {"ip": "192.0.2.9", "netmask": 32, "netdev": "lo", "ip_family": 2, "uuid": None}
    await call(noded, FIRST, "node_activate_master_ip", address, _YES)
    await call(noded, SECOND, "version")
    noded.wait(lambda: "stop 192.0.2.9" in said.read_text(), "the address to be given up")
    await call(noded, FIRST, "node_deactivate_master_ip", address, _YES)
    with pytest.raises(clients.Deposed):
        await call(noded, FIRST, "node_activate_master_ip", address, _YES)
    assert said.read_text().split() == ["start", "192.0.2.9", *("stop", "192.0.2.9") * 2]


async def test_it_gives_it_up_when_it_starts_if_it_was_killed_before(
    noded: nodedaemons.Noded,
) -> None:
    said = _program(noded)
    address = {"ip": "192.0.2.9", "netmask": 32, "netdev": "lo", "ip_family": 2, "uuid": None}
    await call(noded, FIRST, "node_activate_master_ip", address, _YES)
    noded.kill()
    noded.layout.epoch_file.write_bytes(epochs.encode(SECOND))
    noded.start()
    noded.wait(lambda: "stop" in said.read_text(), "the address to be given up")
