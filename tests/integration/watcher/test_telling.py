"""A real watcher's daemon tells: its figures, webhooks that its node owes, and what changed."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import happenings, scraping, webreceivers
from pyganeti.base import paths
from pyganeti.metrics import address as addresses
from pyganeti.watcher.telling import message, outbox, webhooks

_TOP = Path(__file__).parents[3]
_COMMAND = ("-m", "pyganeti.watcher.command", "--daemon", "-f", "--metrics", "127.0.0.1:0")


class _Daemon:
    """On a machine that is in no cluster, so that it has nothing to keep and nothing to recover."""

    def __init__(self, root: Path) -> None:
        self.layout = paths.Paths(root, "node1.example.com")
        self.layout.run_dir.mkdir(parents=True)
        self.log = root / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *_COMMAND],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=_TOP,
                env={
                    **os.environ,
                    "GANETI_ROOTDIR": str(root),
                    "GANETI_HOSTNAME": "node1.example.com",
                },
            )

    def said(self, pattern: str) -> str:
        """Wait until it has said something; return the first group."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text()):
                return found[1]
            time.sleep(0.01)
        raise TimeoutError(self.log.read_text())

    @property
    def address(self) -> addresses.Address:
        found = addresses.parse(self.said(r"the figures can be had .*?address=(\S+)"))
        assert found is not None
        return found


@pytest.fixture
def owing(tmp_path: Path) -> Iterator[tuple[_Daemon, str]]:
    """Return a node's watcher that owes an event to a webhook, and the event's id."""
    event = happenings.an_event()
    box = outbox.Outbox(paths.Paths(tmp_path).state_dir / webhooks.FOLDER / "pager")
    box.put(message.identity(event), event.kind.value, message.as_json(event, "c"))
    bad = paths.Paths(tmp_path).config_dir / "webhooks.toml"
    webreceivers.write(bad, "[webhooks.pager]\n")
    daemon = _Daemon(tmp_path)
    try:
        yield daemon, message.identity(event)
    finally:
        daemon.process.terminate()
        try:
            assert daemon.process.wait(20) == 0
        finally:
            daemon.process.kill()
            daemon.process.wait()


async def test_figures_are_served_and_webhooks_begin_when_their_file_is_put_right(
    owing: tuple[_Daemon, str],
) -> None:
    daemon, id_ = owing
    await asyncio.to_thread(daemon.said, r"(the webhooks cannot be read; nothing changes)")
    await asyncio.to_thread(daemon.said, r"( started )")
    async with webreceivers.serving() as receiver:
        file = daemon.layout.config_dir / "webhooks.toml"
        webreceivers.write(file, f'[webhooks.pager]\nurl = "{receiver.url}"\n')
        daemon.process.send_signal(signal.SIGHUP)
        await receiver.received(1)
        assert receiver.ids == [id_]
        address = await asyncio.to_thread(lambda: daemon.address)
        name = "ganeti_watcher_webhook_events_total"
        async with asyncio.timeout(20):
            found = await scraping.scrape(address)
            while found.value(name, webhook="pager", outcome="delivered") != 1:
                found = await scraping.scrape(address)
    assert scraping.differences(found, "watcher") == []
    assert found.value("ganeti_watcher_recovering") == 0
    assert found.value("ganeti_watcher_webhook_owed", webhook="pager") == 0
