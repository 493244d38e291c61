"""kill -9 of a real node daemon while it makes a disk: the next one finishes or undoes it.

`test_disks_killed` has the moments of a file's making one by one; here the whole daemon dies, with
a client waiting, for each kind of storage whose making takes a while.
"""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import nodedaemons
from pyganeti.base import errors

_YES, _NO = True, False
_MIB = 1024 * 1024


@pytest.fixture
def tools(short_dir: Path) -> Path:
    """Make a directory that comes first on the daemon's path."""
    tools = short_dir / "bin"
    tools.mkdir()
    return tools


@pytest.fixture
def node(short_dir: Path, tools: Path) -> Iterator[nodedaemons.Noded]:
    path = f"{tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    placed = nodedaemons.Noded(short_dir / "root", environment={"PATH": path})
    placed.layout.config_dir.mkdir(parents=True)
    (short_dir / "disks").mkdir()
    (placed.layout.config_dir / "file-storage-paths").write_text(f"{short_dir}/disks\n")
    with placed:
        yield placed


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _killed(node: nodedaemons.Noded, disk: dict[str, Any], has_begun: Callable[[], bool]) -> None:
    """Kill the daemon in the middle of a create, and have another one in its place."""

    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            _create(node, disk)

    asking = threading.Thread(target=ask)
    asking.start()
    node.wait(has_begun, "the create to begin")
    node.kill()
    asking.join()
    node.start()


def _create(node: nodedaemons.Noded, disk: dict[str, Any]) -> Any:
    return node.call("blockdev_create", disk, disk["size"], "web1", _YES, "words", _NO)


@pytest.mark.parametrize("kind", ["file", "sharedfile"])
@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
def test_a_file_is_made_again_or_was_never_there(
    node: nodedaemons.Noded, short_dir: Path, tools: Path, kind: str, fmt: str
) -> None:
    _script(tools / "qemu-img", f"touch {short_dir}/begun; sleep 60 & wait; exec false")
    place = short_dir / "disks"
    disk = {"dev_type": kind, "logical_id": ["loop", f"{place}/one"], "size": 4, "uuid": "u-1",
            "params": {"format": fmt, "preallocation": "full"}}  # fmt: skip
    _killed(node, disk, (short_dir / "begun").exists)
    assert node.call("blockdev_find", disk) is None
    assert [entry.name for entry in place.iterdir()] == [".new-one"]
    (tools / "qemu-img").unlink()
    assert _create(node, disk) == disk["logical_id"]
    assert node.call("blockdev_getdimensions", [disk]) == [[4 * _MIB, None]]
    assert [entry.name for entry in place.iterdir()] == ["one"]
    node.call("blockdev_remove", disk)
    assert list(place.iterdir()) == []


def test_a_providers_half_volume_is_removed_by_its_own_script(
    node: nodedaemons.Noded, short_dir: Path
) -> None:
    provider = node.layout.root / "srv/ganeti/extstorage/san"
    log, volume = short_dir / "log", short_dir / "volume"
    for action in ("detach", "grow", "setinfo", "verify"):
        _script(provider / action, "exit 0")
    (provider / "parameters.list").write_text("")
    _script(provider / "create", f"echo half >{volume}; while [ ! -e {short_dir}/go ]; do :; done")
    _script(provider / "attach", f"echo not there >&2; test -e {short_dir}/whole")
    _script(provider / "remove", f"echo removed >>{log}; rm -f {volume}")
    disk = {"dev_type": "ext", "logical_id": ["san", "v1"], "size": 4, "params": {}}
    _killed(node, disk, volume.exists)
    (short_dir / "go").touch()  # scripts outlive the daemon; this one ends now
    node.call("blockdev_remove", disk)
    assert log.read_text() == "removed\n"
    assert not volume.exists()
    node.call("blockdev_remove", disk)


def test_a_volume_that_lvm_made_meanwhile_is_found_and_removed(
    node: nodedaemons.Noded, short_dir: Path, tools: Path
) -> None:
    """As far as command lines go: LVM itself makes a volume whole or not at all."""
    made = short_dir / "made"
    row = "xenvg|disk0|-wi-ao----|254|3|4096.00|1|/dev/sda1(0)|4096.00"
    _script(tools / "pvs", 'echo "/dev/sda1|xenvg|900.00|a--|1000.00"')
    _script(tools / "lvs", f'test ! -e {made} || echo "{row}"')
    _script(tools / "lvcreate", f"touch {made}; while [ ! -e {short_dir}/go ]; do :; done")
    _script(tools / "lvremove", f"rm {made}")
    disk = {"dev_type": "plain", "logical_id": ["xenvg", "disk0"], "size": 4, "params": {}}
    _killed(node, disk, made.exists)
    (short_dir / "go").touch()
    found = node.call("blockdev_find", disk)
    assert found is not None
    assert found["dev_path"] == "/dev/xenvg/disk0"
    node.call("blockdev_remove", disk)
    assert node.call("blockdev_find", disk) is None


def test_a_disk_that_is_there_already_is_never_made_over(
    node: nodedaemons.Noded, short_dir: Path
) -> None:
    """The daemon died after the disk was whole and before that was answered."""
    disk = {"dev_type": "file", "logical_id": ["loop", f"{short_dir}/disks/one"], "size": 4}
    _create(node, disk)
    (short_dir / "disks/one").write_bytes(b"content")
    node.kill()
    node.start()
    with pytest.raises(errors.Refused, match="exists already"):
        _create(node, disk)
    assert (short_dir / "disks/one").read_bytes() == b"content"
