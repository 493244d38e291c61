from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded import machine

_MEMINFO = """MemTotal:       24681912 kB
MemFree:        20000000 kB
MemAvailable:   24000000 kB
Buffers:          102400 kB
Cached:          3000000 kB
SwapCached:         1024 kB
Active:           296000 kB
Active(anon):     100000 kB
HugePages_Total:       0
"""
_PROCESSOR = "processor\t: {0}\nmodel name\t: A\nphysical id\t: {1}\n\n"


def test_memory_is_counted_in_mebibytes_as_masters_do() -> None:
    assert machine.memory(_MEMINFO) == {
        "memory_total": 24103,
        "memory_free": 19531 + 100 + 2929,
        "memory_dom0": 289,
    }


@pytest.mark.parametrize("said", ["", "MemTotal: x kB\n", "MemTotal: 5 kB\nMemFree:\n"])
def test_a_kernel_that_does_not_tell_is_said(said: str) -> None:
    with pytest.raises(errors.Unavailable, match="Failed to compute memory usage"):
        machine.memory(said)


def test_processors_and_their_sockets_are_counted() -> None:
    text = "".join(_PROCESSOR.format(number, number // 2) for number in range(4))
    assert machine.processors(text) == {"cpu_total": 4, "cpu_dom0": 4, "cpu_sockets": 2}


def test_processors_that_name_no_sockets_are_in_one() -> None:
    assert machine.processors("processor : 0\nprocessor : 1\n")["cpu_sockets"] == 1


def test_domains_are_counted_and_one_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(_MEMINFO)
    (tmp_path / "cpuinfo").write_text(_PROCESSOR.format(0, 0))
    assert machine.facts(tmp_path, tmp_path / "none")["cpu_nodes"] == 1
    for name in ("node0", "node1", "power", "has_cpu"):
        (tmp_path / "domains" / name).mkdir(parents=True)
    assert machine.facts(tmp_path, tmp_path / "domains")["cpu_nodes"] == 2


def test_this_machine_has_memory_and_processors() -> None:
    said = machine.facts()
    assert 0 < said["memory_free"] <= said["memory_total"]
    assert said["cpu_total"] >= said["cpu_sockets"] >= 1
