import json
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.model import hvparams
from pyganeti.noded.qemu import places, runtimefile

_GANETIS = json.loads((Path(__file__).parents[3] / "golden/rpc/accept_instance.json").read_text())[
    0
][1]


def test_ganetis_own_file_is_read() -> None:
    runtime = runtimefile.decode(_GANETIS)
    assert runtime.command[:5] == (
        "/usr/bin/qemu-system-x86_64",
        "-name",
        "k1.example.com",
        "-m",
        "64",
    )
    assert runtime.nics[0].hvinfo["addr"] == "0xd"
    assert runtime.disks[0].about["hvinfo"]["addr"] == "0xc"
    assert runtime.hvparams.migration_port == 18102


def test_what_is_written_is_read_again_the_same() -> None:
    runtime = runtimefile.decode(_GANETIS)
    assert runtimefile.decode(runtimefile.encode(runtime)) == runtime


def test_the_file_keeps_ganetis_names() -> None:
    command, nics, params, disks = json.loads(runtimefile.encode(runtimefile.decode(_GANETIS)))
    theirs = json.loads(_GANETIS)
    assert [str(word) for word in theirs[0]] == command
    assert set(theirs[1][0]) == set(nics[0])
    assert set(params) == set(theirs[2]) | (hvparams.KNOWN - set(theirs[2]))
    assert disks == theirs[3]


def test_a_very_old_file_without_disks_is_read() -> None:
    assert runtimefile.decode('[["/usr/bin/kvm"], [], {}]').disks == ()


@pytest.mark.parametrize("content", ["", "{}", "[]", "[[], [], {}, []]", "[" * 5000, "\udc80"])
def test_what_is_no_runtime_file_is_damaged(content: str) -> None:
    with pytest.raises(errors.Damaged):
        runtimefile.decode(content.encode(errors="surrogateescape"))


def test_a_guest_that_comes_to_another_root_gets_its_paths_there() -> None:
    runtime = runtimefile.decode(_GANETIS)
    there = places.Places(paths.Paths(Path("/nodes/n2")))
    moved = runtime.moved("k1.example.com", there)
    said = " ".join(moved.command)
    assert f"-pidfile {there.pid_file('k1.example.com')}" in said
    assert f"-D {there.log('k1.example.com')}" in said
    assert said.count("/nodes/n2/") == 4
    back = moved.moved("k1.example.com", places.Places(paths.Paths()))
    assert back == runtime


def test_the_runtime_of_another_instance_is_refused() -> None:
    with pytest.raises(errors.Damaged, match="where it is from"):
        runtimefile.decode(_GANETIS).moved("k2.example.com", places.Places(paths.Paths()))
