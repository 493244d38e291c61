"""Debian's RAPI daemon (package ganeti-3.0) pointed at our socket."""

import asyncio
import base64
import http.client
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from lab import answeringnodes, clusters, debianusers, luxiservers

PROGRAM: Final = Path("/usr/share/ganeti/3.0/ganeti-rapi")
PATIENCE: Final = 40.0

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not PROGRAM.exists(), reason="needs Debian's package ganeti-3.0"),
    pytest.mark.skipif(bool(debianusers.missing()), reason=debianusers.missing() or "all there"),
]


class Rapi:
    """Debian's RAPI daemon over our socket, without TLS."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, method: str, path: str) -> Any:
        """Return what it answers."""
        return await asyncio.to_thread(self._ask, method, path)

    def _ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        word = base64.b64encode(b"admin:secret").decode()
        connection.request(method, path, headers={"Authorization": f"Basic {word}"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        assert answer.status == 200, body
        return body


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
async def running(short_dir: Path) -> AsyncIterator[luxiservers.Running]:
    snapshot = clusters.furnished()
    root = short_dir / snapshot.master.name
    (root / "var/log/ganeti").mkdir(parents=True)
    async with (
        answeringnodes.started(snapshot.nodes.values()) as nodes,
        nodes.asking() as asking,
        luxiservers.started(root, snapshot, asking=asking) as started,
    ):
        nodes.play(snapshot)
        yield started


@pytest.fixture
async def rapi(running: luxiservers.Running) -> AsyncIterator[Rapi]:
    users = running.layout.state_dir / "rapi/users"
    users.parent.mkdir()
    users.write_text("admin secret write\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = running.layout.root
    process = await asyncio.create_subprocess_exec(
        *debianusers.prefix(root.parent),
        str(PROGRAM),
        *("-f", "--no-ssl", "-b", "127.0.0.1", "-p", str(port)),
        env={**os.environ, "GANETI_ROOTDIR": str(root), "GANETI_HOSTNAME": root.name},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while not await answers(port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        yield Rapi(port)
    finally:
        process.kill()
        await process.wait()


async def test_the_rapi_daemon_serves_from_our_socket(rapi: Rapi) -> None:
    assert (await rapi.ask("GET", "/2/info"))["name"] == "cluster.example.com"
    [first, *_] = await rapi.ask("GET", "/2/instances?bulk=1")
    assert (first["name"], first["status"], first["oper_ram"]) == (
        "web1.example.com",
        "running",
        256,
    )
    assert len(await rapi.ask("GET", "/2/nodes?bulk=1")) == 3
    assert (await rapi.ask("GET", "/2/groups/default"))["node_cnt"] == 3
    assert (await rapi.ask("GET", "/2/networks/net1"))["free_count"] == 4
    found = await rapi.ask("GET", "/2/query/instance?fields=name,snodes")
    assert found["data"][1] == [[0, "web2.example.com"], [0, ["node3.example.com"]]]
    assert (await rapi.ask("GET", "/2/query/node/fields"))["fields"]
    job = await rapi.ask("PUT", "/2/instances/web1.example.com/startup")
    assert await rapi.ask("GET", "/2/jobs") == [{"id": job, "uri": f"/2/jobs/{job}"}]
    assert (await rapi.ask("GET", f"/2/jobs/{job}"))["status"] in {"queued", "running", "success"}
