"""A real configuration's objects go through ours with nothing lost, and nonsense is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model.config import codec, record
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node

_GOLDEN = Path(__file__).parents[3] / "golden/config"


def _objects(name: str = "config.data") -> list[Any]:
    whole = json.loads((_GOLDEN / name).read_text())
    found = [pytest.param(Cluster, whole["cluster"], id="cluster")]
    for section, kind in codec.CONTAINERS.items():
        for uuid, described in whole[section].items():
            found.append(pytest.param(kind, described, id=f"{section}-{uuid[:8]}"))
    return found


@pytest.mark.parametrize(("kind", "described"), [*_objects(), *_objects("config-drbd.data")])
def test_what_a_real_master_wrote_is_written_back_the_same(
    kind: type[record.Record], described: dict[str, Any]
) -> None:
    decoded = codec.decode(json.dumps(described).encode(), kind)
    assert decoded.rest == {}, "a field of Ganeti 3.0's that nobody here knows"
    written = json.loads(codec.encode(decoded))
    assert {"members": [], **described} == {"members": [], **written}
    assert codec.to_wire(decoded) == codec.to_wire(codec.from_wire(described, kind))


@pytest.mark.parametrize(("kind", "described"), _objects())
def test_fields_come_in_the_order_in_which_a_real_master_writes_them(
    kind: type[record.Record], described: dict[str, Any]
) -> None:
    decoded = codec.decode(json.dumps(described).encode(), kind)
    assert list(json.loads(codec.encode(decoded))) == list(described)


@pytest.mark.parametrize(("kind", "described"), _objects())
def test_fields_of_a_newer_version_survive_beside_the_others(
    kind: type[record.Record], described: dict[str, Any]
) -> None:
    newer = {**described, "newer": {"deep": [1, None]}, "rest": "a name like ours", "(rest)": 1}
    decoded = codec.decode(json.dumps(newer).encode(), kind)
    assert decoded.rest == {"newer": {"deep": [1, None]}, "rest": "a name like ours", "(rest)": 1}
    assert json.loads(codec.encode(decoded)) == newer


def test_fields_of_a_newer_version_survive_in_nics_and_in_children_of_disks() -> None:
    instance = {"uuid": "i", "name": "web", "nics": [{"mac": "m", "uuid": "n", "newer": 1}]}
    out = json.loads(codec.encode(codec.decode(json.dumps(instance).encode(), Instance)))
    assert out["nics"] == [{"mac": "m", "nicparams": {}, "uuid": "n", "newer": 1}]
    disk = {"dev_type": "drbd", "children": [{"dev_type": "plain", "newer": {"a": 2}}]}
    out = json.loads(codec.encode(codec.decode(json.dumps(disk).encode(), Disk)))
    assert out["children"][0]["newer"] == {"a": 2}
    assert out["children"][0]["children"] == []


def test_null_is_as_good_as_absent() -> None:
    described = b'{"uuid": "i", "name": "web", "network_port": null, "tags": null, "os": null}'
    decoded = codec.decode(described, Instance)
    assert decoded.network_port is None
    assert decoded.tags == ()
    assert decoded.os == ""


def test_a_forthcoming_instance_does_not_get_what_it_never_had() -> None:
    described = {"forthcoming": True, "uuid": "i", "serial_no": 1, "tags": []}
    out = json.loads(codec.encode(codec.decode(json.dumps(described).encode(), Instance)))
    assert out["forthcoming"] is True
    assert "name" not in out
    assert "primary_node" not in out
    assert codec.decode(json.dumps(out).encode(), Instance).name == ""


def test_secrets_are_in_no_object_s_words() -> None:
    instance = Instance(uuid="i", name="web", osparams_private={"password": "tell-nobody"})
    disk = codec.decode(b'{"dev_type":"drbd","logical_id":[1,2,3,4,5,"tell-nobody"]}', Disk)
    for held in (instance, disk, (instance,), {"disk": disk}):
        assert "tell-nobody" not in repr(held)
    assert repr(instance) == "<Instance web i>"


@pytest.mark.parametrize(
    "action", ["ACCEPT", ["RATE_LIMIT", 5]], ids=["a word", "a word with a number"]
)
def test_both_forms_of_a_filter_s_action_are_kept(action: object) -> None:
    described = {
        "watermark": 3, "priority": 0, "predicates": [["jobid", [">", "id", "watermark"]]],
        "action": action, "reason_trail": [["me", "because", 1]], "uuid": "f",
    }  # fmt: skip
    decoded = codec.decode(json.dumps(described).encode(), FilterRule)
    assert json.loads(codec.encode(decoded)) == described


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "no object"),
        (b'{"name": 5, "uuid": "n"}', "name"),
        (b'{"name": "n", "new": 1}', "primary_ip"),
        (b'{"name":"n","primary_ip":"","secondary_ip":"","group":"","uuid":"","tags":"t"}', "tags"),
    ],
)
def test_what_cannot_be_a_node_is_damaged_and_says_where(data: bytes, words: str) -> None:
    with pytest.raises(errors.Damaged, match=words):
        codec.decode(data, Node)


def test_a_part_that_cannot_be_one_is_damaged_and_says_where() -> None:
    with pytest.raises(errors.Damaged, match=r"nics\[0\]\.mac"):
        codec.decode(b'{"uuid": "i", "new": 1, "nics": [{"mac": 1, "uuid": "n"}]}', Instance)
