"""A real node daemon's figures, scraped as Prometheus does."""

import asyncio
import re
import socket
import time
from pathlib import Path

import pytest

from lab import examples, journals, nodedaemons, scraping
from pyganeti.base import errors
from pyganeti.kvmd.journal import journalfile
from pyganeti.metrics import address as addresses
from pyganeti.model import cause as causes

_HERE = ("--metrics", "127.0.0.1:0")


def _address(noded: nodedaemons.Noded) -> addresses.Address:
    line = noded.wait_log("the figures can be had")[-1]
    found = re.search(r"address=(\S+)", line)
    assert found is not None
    address = addresses.parse(found[1])
    assert address is not None
    return address


async def _scrape(noded: nodedaemons.Noded) -> scraping.Figures:
    return await scraping.scrape(_address(noded))


async def test_calls_are_counted_by_name_and_outcome(tmp_path: Path) -> None:
    with nodedaemons.Noded(tmp_path, *_HERE) as noded:
        for _ in range(3):
            await asyncio.to_thread(noded.call, "version")
        with pytest.raises(errors.Failure):
            await asyncio.to_thread(noded.call, "instance_info", "../etc", "kvm", {})
        status, _ = await asyncio.to_thread(noded.post, "/no_such_call", b"[]")
        assert status == 404
        found = await _scrape(noded)
        assert scraping.differences(found, "noded") == []
    assert found.value("ganeti_noded_call_seconds_count", call="version") == 3
    assert found.value("ganeti_noded_calls_failed_total", call="version", how="refused") is None
    failed = found.values("ganeti_noded_calls_failed_total", "call")
    assert failed == {"instance_info": 1}
    assert found.value("ganeti_noded_requests_refused_total", status="404") == 1
    assert found.value("ganeti_noded_guests_running") == 0
    assert found.value("ganeti_noded_kvmd_running") == 0
    assert found.value("ganeti_noded_epoch") == 0
    assert found.value("ganeti_noded_journal_readable") == 0
    assert not found.families["ganeti_noded_stops"].samples


async def test_stops_are_counted_for_good_over_restarts_and_pruning(tmp_path: Path) -> None:
    noded = nodedaemons.Noded(tmp_path, *_HERE)
    journal = noded.layout.kvmd_journal
    journal.parent.mkdir(parents=True)
    killed = [examples.a_stop(n, cause=causes.Cause.KILLED) for n in range(1, 6)]
    with journals.observed(journal) as kept:
        await kept.record(*killed)
        await kept.record(killed[0], examples.a_stop(9, cause=causes.Cause.USER_POWEROFF))
        with noded:
            first = await _scrape(noded)
    file = journalfile.JournalFile(journal, keep_days=90, keep_rows=2)
    file.open()
    while file.prune(time.time()):
        pass
    file.close()
    assert len(journals.stored(journal)) == 2
    with noded:
        second = await _scrape(noded)
    for found in (first, second):
        stops = found.values("ganeti_noded_stops_total", "cause")
        assert set(stops) == {cause.value for cause in causes.Cause}
        assert stops["killed"] == 5
        assert stops["user-poweroff"] == 1
        assert sum(stops.values()) == 6
        assert found.value("ganeti_noded_journal_readable") == 1


async def test_a_port_that_is_taken_keeps_no_daemon_from_its_work(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with nodedaemons.Noded(tmp_path, "--metrics", f"127.0.0.1:{port}") as noded:
            assert noded.wait_log("WARNING", "the figures cannot be had", str(port))
            assert await asyncio.to_thread(noded.call, "version") is not None


def test_what_is_no_address_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(nodedaemons.NotStarted, match="is not an address"):
        nodedaemons.Noded(tmp_path, "--metrics", "1831").start()
