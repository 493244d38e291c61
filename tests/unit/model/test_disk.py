"""Disks come in as dicts, are checked, and go out with everything that came in."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"


def _golden(call: str) -> dict[str, Any]:
    body = json.loads((_GOLDEN / f"{call}.json").read_text())
    found: dict[str, Any] = body[0][0]
    return found


@pytest.mark.parametrize("call", ["blockdev_create", "blockdev_assemble", "blockdev_remove"])
def test_a_master_s_disk_goes_out_as_it_came_in(call: str) -> None:
    described = _golden(call)
    disk = disks.from_wire(described)
    assert disk.dev_type is disks.Template.SHARED_FILE
    assert disk.size == 16
    assert disks.to_wire(disk) == {"children": [], **described}


def test_fields_that_nobody_here_knows_are_kept_in_children_too() -> None:
    child = {"dev_type": "plain", "logical_id": ["vg", "lv"], "new": 1}
    described = {"dev_type": "drbd", "logical_id": [1], "size": 5, "newer": {"a": [None]},
                 "children": [child]}  # fmt: skip
    out = disks.to_wire(disks.from_wire(described))
    assert out["newer"] == {"a": [None]}
    assert out["children"][0]["new"] == 1


def test_null_is_as_good_as_absent() -> None:
    described = {"dev_type": "file", "logical_id": ["loop", "/x"], "params": None, "spindles": None}
    disk = disks.from_wire(described)
    assert disk.params == {}
    assert disk.spindles is None


def test_words_about_a_drbd_disk_leave_out_its_secret() -> None:
    described = {"dev_type": "drbd", "logical_id": ["a", "b", 1, 0, 0, "s3cret"], "uuid": "u-1"}
    assert disks.from_wire(described).describe() == "drbd disk u-1"


@pytest.mark.parametrize(
    "described",
    [
        None,
        "disk",
        {},
        {"dev_type": "file"},
        {"dev_type": "floppy", "logical_id": []},
        {"dev_type": "file", "logical_id": "x"},
        {"dev_type": "file", "logical_id": [], "size": "5"},
        {"dev_type": "file", "logical_id": [], "size": -5},
        {"dev_type": "file", "logical_id": [], "params": []},
        {"dev_type": "file", "logical_id": [], "children": {}},
        {"dev_type": "file", "logical_id": [], "children": [None]},
    ],
)
def test_what_is_no_disk_is_refused(described: Any) -> None:
    with pytest.raises(errors.BadInput):
        disks.from_wire(described)


def test_children_without_end_are_refused() -> None:
    described: dict[str, Any] = {"dev_type": "plain", "logical_id": ["vg", "lv"]}
    for _ in range(900):
        described = {"dev_type": "plain", "logical_id": ["vg", "lv"], "children": [described]}
    with pytest.raises(errors.BadInput, match="too deep"):
        disks.from_wire(described)
