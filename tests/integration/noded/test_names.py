"""No call takes a name that leads somewhere else for an instance's: it is refused, nothing changes.

The calls are the daemon's own table's, so that a new one that takes an instance has to come here.
"""

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import nodedaemons
from pyganeti.base import errors
from pyganeti.noded import app, calls

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_BAD = ("../k1", "a/b", "/etc/passwd", "..", ".", "", ".hidden", "-x", "a\0b", "a\nb", "x" * 300)
_GOOD = "k1.example.com"


def _recorded(call: str) -> list[Any]:
    arguments: list[Any] = json.loads((_GOLDEN / f"{call}.json").read_bytes())[0]
    return arguments


def _instance(name: str) -> dict[str, Any]:
    sent: dict[str, Any] = _recorded("instance_start")[0]
    return sent | {"name": name, "os": "image"}


def _disk() -> dict[str, Any]:
    disk: dict[str, Any] = _recorded("blockdev_create")[0]
    return disk


_OPTIONS: dict[str, Any] = {"compress": "none"}
_SCRIPT = ["script", [_disk(), 0]]

ASKED: dict[str, Callable[[str], list[Any]]] = {
    "accept_instance": lambda name: [_instance(name), "[]", "127.0.0.1"],
    "blockdev_assemble": lambda name: [_disk(), _instance(name), True, 0],
    "blockdev_close": lambda name: [name, [_disk()]],
    "blockdev_open": lambda name: [name, [_disk()], True],
    "export_start": lambda name: [_OPTIONS, "127.0.0.1", 1, _instance(name), "d0", _SCRIPT],
    "finalize_export": lambda name: [_instance(name), [False]],
    "hotplug_device": lambda name: [_instance(name), "hotadd", "disk", _disk(), None, 0],
    "hotplug_supported": lambda name: [_instance(name)],
    "import_start": lambda name: [_OPTIONS, _instance(name), "d0", _SCRIPT],
    "instance_balloon_memory": lambda name: [_instance(name), 64],
    "instance_console_info": lambda name: [{name: _about(name)}],
    "instance_finalize_migration_dst": lambda name: [_instance(name), "[]", True],
    "instance_finalize_migration_src": lambda name: [_instance(name), True, True],
    "instance_get_migration_status": lambda name: [_instance(name)],
    "instance_info": lambda name: [name, "kvm", {}],
    "instance_migratable": lambda name: [_instance(name)],
    "instance_migrate": lambda name: ["cluster", _instance(name), "127.0.0.1", True],
    "instance_os_add": lambda name: [_instance(name), False, 0],
    "instance_pause": lambda name: [name, []],
    "instance_resume": lambda name: [name, []],
    "instance_reboot": lambda name: [_instance(name), "hard", 1, []],
    "instance_run_rename": lambda name: [_instance(name), _GOOD, 0],
    "instance_shutdown": lambda name: [_instance(name), 1, []],
    "instance_start": lambda name: [_instance(name), False, []],
    "migration_info": lambda name: [_instance(name)],
    "os_export": lambda name: [_instance(name), {}],
    "resize_disk": lambda name: [_instance(name), _disk(), 1 << 20],
}
_OF_NO_PATH = {
    "instance_last_stops",
    "instance_list",
    "instance_metadata_modify",
    "instance_stops",
    "instance_why",
}
"""No file is looked for by a name from these: they take none, or one to compare with."""


def _about(name: str) -> dict[str, Any]:
    instance = _instance(name)
    return {
        "instance": instance,
        "node": {"name": nodedaemons.NAME},
        "hvParams": instance["hvparams"],
        "beParams": instance["beparams"],
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodedaemons.Noded]:
    with nodedaemons.Noded(tmp_path_factory.mktemp("n")) as noded:
        (noded.layout.root / "srv/ganeti/export").mkdir(parents=True)
        yield noded


def _files(noded: nodedaemons.Noded) -> set[Path]:
    return set(noded.layout.root.rglob("*"))


def test_every_call_that_takes_an_instance_is_tried_here() -> None:
    table = calls.Table(app.FAMILIES)
    found = set()
    for name in table.names:
        bound = table.find(name)
        assert bound is not None
        if (
            name.startswith("instance_")
            or "instance" in inspect.signature(bound.call.handler).parameters
        ):
            found.add(name)
    assert found - ASKED.keys() == _OF_NO_PATH


@pytest.mark.parametrize("call", sorted(ASKED))
def test_a_name_that_is_none_is_refused(call: str, asked: nodedaemons.Noded) -> None:
    before = _files(asked)
    for name in _BAD:
        with pytest.raises(errors.Failure, match="is not the name of an instance"):
            asked.call(call, *ASKED[call](name))
    assert _files(asked) == before
    assert not asked.log_lines("Traceback")


def test_an_old_name_that_is_none_is_refused(asked: nodedaemons.Noded) -> None:
    before = _files(asked)
    for name in _BAD:
        with pytest.raises(errors.Failure, match="is not the name of an instance"):
            asked.call("instance_run_rename", _instance(_GOOD), name, 0)
    assert _files(asked) == before


def test_an_export_is_a_folder_among_the_exports(asked: nodedaemons.Noded) -> None:
    before = _files(asked)
    for name in ("../k1", "a/b", "/etc", "..", ".", "", ".hidden", "a\0b"):
        with pytest.raises(errors.Failure, match="is not the name of an export"):
            asked.call("export_remove", name)
    assert _files(asked) == before


def test_hooks_of_a_removal_remove_nothing_by_a_name_that_is_none(
    asked: nodedaemons.Noded,
) -> None:
    kept = asked.layout.state_dir / "nvram"
    kept.mkdir(exist_ok=True)
    outside = asked.layout.state_dir / "k1.fd"
    outside.touch()
    for name in ("../k1", *_BAD):
        with contextlib.suppress(errors.Failure):  # a zero byte is no environment's
            asked.call("hooks_runner", "instance-remove", "post", {"GANETI_INSTANCE_NAME": name})
    assert outside.exists()
    assert kept.is_dir()
