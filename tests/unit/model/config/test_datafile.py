"""config.data is read and written whole, with nothing lost, and nonsense is refused by name."""

import json

import pytest

from lab import configurations
from pyganeti.base import errors
from pyganeti.model.config import datafile, entries
from pyganeti.model.config import snapshot as snapshots


def _bytes(name: str = "config.data") -> bytes:
    return (configurations.GOLDEN / name).read_bytes()


@pytest.mark.parametrize("name", ["config.data", "config-drbd.data"])
def test_a_real_master_s_file_is_written_back_with_nothing_lost(name: str) -> None:
    held = datafile.parse(_bytes(name))
    assert json.loads(datafile.Pieces(held).render()) == json.loads(_bytes(name))
    written = json.loads(datafile.Pieces(entries.from_snapshot(entries.to_snapshot(held))).render())
    real = json.loads(_bytes(name))
    for group in real["nodegroups"].values():
        group.setdefault("members", [])
    assert written == real


def test_what_only_a_newer_version_knows_survives_at_every_level() -> None:
    whole = json.loads(_bytes())
    whole["newer"] = {"a": 1}
    whole["cluster"]["newer"] = [1]
    for section in ("nodes", "nodegroups", "instances", "disks", "networks"):
        for held in whole[section].values():
            held["newer"] = {"of": section}
    snapshot = entries.to_snapshot(datafile.parse(json.dumps(whole).encode()))
    written = datafile.Pieces(entries.from_snapshot(snapshot)).render()
    assert json.loads(written) == whole


def test_a_file_written_prettily_is_understood() -> None:
    pretty = json.dumps(json.loads(_bytes()), indent=4).encode()
    held = datafile.parse(pretty)
    assert entries.to_snapshot(held) == configurations.real()
    assert json.loads(datafile.Pieces(held).render()) == json.loads(_bytes())


def test_sections_that_are_missing_or_null_are_empty() -> None:
    whole = json.loads(_bytes())
    del whole["filters"]
    whole["networks"] = None
    snapshot = entries.to_snapshot(datafile.parse(json.dumps(whole).encode()))
    assert len(snapshot.filters) == len(snapshot.networks) == 0
    assert json.loads(datafile.Pieces(entries.from_snapshot(snapshot)).render())["networks"] == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not the JSON"),
        (b"garbage", "not the JSON"),
        (b"\x00" * 5000, "not the JSON"),
        (b"[]", "not the JSON"),
        (b'{"a"', "not the JSON"),
        (b"{}", "no cluster"),
        (b'{"cluster": {}}', "no version"),
        (b'{"cluster": {}, "version": 3000000, "nodes": [1]}', "nodes are none"),
        (_bytes()[: len(_bytes()) // 2], "not the JSON"),
    ],
)
def test_what_is_no_configuration_is_damaged(data: bytes, words: str) -> None:
    with pytest.raises(errors.Damaged, match=words):
        datafile.parse(data)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("cluster", "master_node"), 5, "cluster in the configuration .*master_node"),
        (("instances", "457a2e05-ad39-4309-a8a7-8d45452293f3", "nics"), [{}], "instances/457a2e05"),
        (("version",), "3.0", "config in the configuration .*version"),
        (("nodes", "x"), {"name": "x"}, "nodes/x"),
    ],
)
def test_an_object_that_is_none_is_damaged_and_named(
    path: tuple[str, ...], value: object, words: str
) -> None:
    whole = json.loads(_bytes())
    held = whole
    for name in path[:-1]:
        held = held[name]
    held[path[-1]] = value
    with pytest.raises(errors.Damaged, match=words):
        entries.to_snapshot(datafile.parse(json.dumps(whole).encode()))


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (3_010_000, r"Ganeti 3\.1 .*'cfgupgrade --downgrade'"),
        (2_160_000, r"Ganeti 2\.16 .*Ganeti 3\.0's 'cfgupgrade'"),
        (4_000_000, r"Ganeti 4\.0 "),
    ],
)
def test_another_version_is_refused_by_name_with_what_to_do(version: int, words: str) -> None:
    whole = {**json.loads(_bytes()), "version": version}
    with pytest.raises(errors.Denied, match=words):
        entries.to_snapshot(datafile.parse(json.dumps(whole).encode()))


def test_entries_that_have_no_place_are_refused() -> None:
    pieces = datafile.Pieces({})
    for key in ("nonsense", "nonsense/x", "nodes", ""):
        with pytest.raises(errors.BadInput, match="no place"):
            pieces.change({key: b"{}"})
    with pytest.raises(errors.Damaged, match="none: nonsense/x"):
        entries.to_snapshot({**entries.from_snapshot(configurations.of(0)), "nonsense/x": b"{}"})


def test_entries_are_put_and_taken_away() -> None:
    pieces = datafile.Pieces(entries.from_snapshot(configurations.of(3)))
    other = pieces.copy()
    other.change({"instances/i": b'{"uuid":"i"}', f"disks/{configurations.uuid(5, 2)}": None})
    assert len(json.loads(pieces.render())["disks"]) == 3
    written = json.loads(other.render())
    assert written["instances"]["i"] == {"uuid": "i"}
    assert len(written["disks"]) == 2
    assert written["version"] == snapshots.VERSION
