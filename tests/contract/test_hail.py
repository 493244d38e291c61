"""Hail of Debian's ganeti-htools understands how we tell it a cluster, and we what it answers."""

import os
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from lab import clusters
from pyganeti.masterd.allocation import answer, description
from pyganeti.masterd.ops.instance import newinstance, placing
from pyganeti.model.config import filling
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

HTOOLS: Final = Path("/usr/lib/ganeti/3.0/usr/bin/htools")

pytestmark = pytest.mark.skipif(
    not HTOOLS.exists(), reason="needs Debian's package ganeti-htools-3.0"
)


@pytest.fixture
def snapshot() -> Snapshot:
    return clusters.open_to_instances()


def ask(path: Path, snapshot: Snapshot, request: dict[str, Any]) -> answer.Answer:
    """Have hail answer a request; nodes have the less memory free the higher their number."""
    said = {}
    for number, node in enumerate(snapshot.nodes.values()):
        hypervisor = {
            "memory_total": 16384, "memory_dom0": 512, "memory_free": 15000 - 4000 * number,
            "cpu_total": 8, "cpu_dom0": 1,
        }  # fmt: skip
        storage = [{"type": "file", "storage_size": 90000, "storage_free": 80000}]
        said[node.uuid] = description.Said(info=["boot", storage, [hypervisor]])
    state = description.of_cluster(snapshot, said, Template.FILE)
    path.write_bytes(msgspec.json.encode({**state, "request": request}))
    done = subprocess.run(
        [HTOOLS, path],
        env={**os.environ, "HTOOLS": "hail"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return answer.read(done.stdout)


def wanted(snapshot: Snapshot, name: str, memory: int = 512) -> dict[str, Any]:
    request = newinstance.Request(
        name=name,
        node="",
        template=Template.FILE,
        disks=[{"size": 1024}],
        nics=[{}],
        hypervisor="kvm",
        beparams={"minmem": memory, "maxmem": memory},
        os="noop",
    )
    backend = filling.backend(snapshot.cluster, request.beparams)
    return dict(placing.wanted(request, backend))


def test_hail_places_an_instance(tmp_path: Path, snapshot: Snapshot) -> None:
    known = {node.name for node in snapshot.nodes.values()}

    found = ask(tmp_path / "in", snapshot, {**wanted(snapshot, "new"), "type": "allocate"})

    assert found.success, found.info
    assert answer.one_node(found, known) in known


def test_hail_says_why_there_is_no_place(tmp_path: Path, snapshot: Snapshot) -> None:
    request = wanted(snapshot, "new", memory=30000)

    found = ask(tmp_path / "in", snapshot, {**request, "type": "allocate"})

    assert not found.success
    assert found.info


def test_hail_places_several(tmp_path: Path, snapshot: Snapshot) -> None:
    known = {node.name for node in snapshot.nodes.values()}
    requests = [wanted(snapshot, f"new{number}") for number in range(3)]

    found = ask(tmp_path / "in", snapshot, {"instances": requests, "type": "multi-allocate"})

    assert found.success, found.info
    names = [request["name"] for request in requests]
    placed, failed = answer.many(found, names, known)
    assert sorted(placed) == names
    assert not failed
