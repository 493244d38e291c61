"""Disks that nobody in his right mind asks for: each call fails in words, or does no harm.

Whatever a body says, nothing outside the places for disks is made, changed or removed, no tool sees
a word that it could take for an option or a path of another, and nothing but a failure comes out.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyganeti.base import errors, paths
from pyganeti.model import disk as disks
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.net import network
from pyganeti.noded.rpc import blockdev
from pyganeti.noded.storage import storage

_TOOLS = (
    "lvs", "pvs", "vgs", "lvcreate", "lvremove", "lvchange", "lvextend", "lvrename", "rbd", "mount",
    "curl",
)  # fmt: skip
_EVIL = (
    "", ".", "..", "/", "//", "-rf", "--help", "a b", "a;b", "$(touch x)", "a\nb", "a\0b",
    "x" * 300, "caf\u00e9", "\u202e", "*", "~", "%s", ".new-x", "@", "a@b", "a/b", "../x",
    "1" * 40,
)  # fmt: skip


@dataclass
class World:
    """A node's disks, what must not be touched beside them, and what tools were told."""

    place: Path
    beside: Path
    told: Path
    node: nodes.Node
    table: calls.Table

    def ask(self, name: str, *arguments: Any) -> Any:
        """Make a call as if it had come over the wire."""
        bound = self.table.find(name)
        assert bound is not None

        async def work() -> Any:
            checked = bound.check(list(arguments))
            bound.call.serial(checked)
            return await bound.call.handler(self.node, *checked)

        return asyncio.run(work())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    root = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    place, beside, tools = root / "disks", root / "beside", root / "bin"
    for directory in (place, beside, tools):
        directory.mkdir()
    (beside / "precious").write_text("precious")
    (place / "there").write_bytes(bytes(1 << 20))
    (place / "out").symlink_to(beside)
    told = root / "told"
    for tool in _TOOLS:
        script = tools / tool
        script.write_text(
            f"#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done >>{told}\nexit 1\n"
        )
        script.chmod(0o755)
    layout = paths.Paths(root / "root", "node1")
    layout.config_dir.mkdir(parents=True)
    layout.state_dir.mkdir(parents=True)
    (layout.config_dir / "file-storage-paths").write_text(f"{place}\n")
    quick = storage.Patience(pause=0.001, total=0.001)
    stored = storage.Storage(layout, {"PATH": f"{tools}:{os.environ['PATH']}"}, patience=quick)

    async def nothing() -> bool:
        return False

    acting = hypervisor.Hypervisor(
        paths=layout,
        storage=stored,
        network=network.Network(layout),
        ensure_kvmd=nothing,
        kvmd_runs=lambda: False,
    )

    class Node:
        storage = stored
        hypervisor = acting

    yield World(place, beside, told, cast("nodes.Node", Node()), calls.Table([blockdev.CALLS]))
    shutil.rmtree(root)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
    | st.sampled_from(_EVIL),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_EVIL), inner,
                                                               max_size=3),
    max_leaves=5,
)  # fmt: skip


@st.composite
def _disks(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a disk that is right but for what is wrong with it."""
    word = st.sampled_from(_EVIL)
    kinds = [*(t.value for t in disks.Template), "lvm", "", *["file"] * 6]
    kind = draw(st.sampled_from(kinds))
    path = draw(
        st.one_of(
            st.builds("PLACE/{}".format, word),
            st.builds("PLACE/{}".format, word),
            word,
            st.builds("PLACE/{}/{}".format, word, word),
            st.sampled_from(
                ["PLACE/out/precious", "/etc/passwd", "/dev/null", "/dev/../etc/passwd"]
            ),
        )
    )
    described: dict[str, Any] = {
        "dev_type": kind,
        "logical_id": [draw(st.sampled_from(["loop", "manual", "xenvg", "rbd", *_EVIL])), path],
        "size": draw(st.sampled_from([1, 1, 1, 1, 0, -1, 2**62, 2**70, "1", None])),
        "params": draw(
            st.dictionaries(
                st.sampled_from(["pool", "host", "volume", "port", "format", "access", "stripes"]),
                _ANYTHING,
                max_size=2,
            )
        ),
        "iv_name": draw(word),
    }
    if not draw(st.integers(0, 3)):
        described[draw(st.sampled_from(sorted(described)))] = draw(_ANYTHING)
    return described


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    disk=_disks(),
    other=_disks(),
    word=st.sampled_from(_EVIL),
    number=st.integers(-2, 2**65) | st.integers(0, 1),
)
def test_no_disk_however_strange_does_harm(
    world: World, disk: dict[str, Any], other: dict[str, Any], word: str, number: int
) -> None:
    one, two = (_placed(world, described) for described in (disk, other))
    instance = {"name": word, "hypervisor": "kvm"}
    world.told.unlink(missing_ok=True)
    for name, arguments in (
        ("blockdev_create", [one, 1, word, True, word, False]),
        ("blockdev_assemble", [one, instance, True, number]),
        ("blockdev_find", [one]),
        ("blockdev_getdimensions", [[one, two]]),
        ("blockdev_getmirrorstatus", [[one]]),
        ("blockdev_open", [word, [one, two], True]),
        ("blockdev_close", [word, [one, two]]),
        ("blockdev_grow", [one, number, False, True, False]),
        ("blockdev_wipe", [one, number, number]),
        ("blockdev_image", [one, word, number]),
        ("blockdev_snapshot", [one, word, number]),
        ("blockdev_setinfo", [one, word]),
        ("blockdev_rename", [[[one, two.get("logical_id")]]]),
        ("blockdev_convert", [one, two]),
        ("blockdev_shutdown", [one]),
        ("blockdev_remove", [one]),
    ):
        with contextlib.suppress(errors.Failure):
            world.ask(name, *arguments)
    assert [path.name for path in world.beside.iterdir()] == ["precious"]
    assert (world.beside / "precious").read_text() == "precious"
    assert (world.place / "there").stat().st_size == 1 << 20
    assert Path("/etc/passwd").stat().st_size > 0
    said = world.told.read_bytes().split(b"\0") if world.told.exists() else []
    assert not {b"-rf", b"--help", b"..", b"../x", b"$(touch x)", b"a;b"} & set(said)


def _placed(world: World, described: dict[str, Any]) -> dict[str, Any]:
    """Put the place's path where a disk says that it is meant."""
    logical_id = described.get("logical_id")
    if not isinstance(logical_id, list):
        return described
    return {
        **described,
        "logical_id": [
            part.replace("PLACE", str(world.place)) if isinstance(part, str) else part
            for part in logical_id
        ],
    }
