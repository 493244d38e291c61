"""The parts of running instances that decide without a qemu."""

from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.model import hvparams, instance
from pyganeti.noded.instance import memory, reasons
from pyganeti.noded.qemu import address, words


def test_a_job_is_found_in_the_last_opcode_that_names_one() -> None:
    trail: reasons.Trail = [
        ("gnt:client", "x job=1", 1),
        ("gnt:opcode:a", "job=22;index=0", 2),
        ("other", "", 3),
    ]
    assert reasons.job(trail) == 22
    assert reasons.job([]) is None
    assert reasons.summary(trail[:1], "kill") == "kill: gnt:client x job=1"


@pytest.mark.parametrize(("free", "started"), [(10_000, 512), (300, 300), (64, 128)])
def test_memory_at_the_start_is_what_is_free_between_its_bounds(
    tmp_path: Path, free: int, started: int
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {free << 10} kB\n")
    assert memory.at_start(instance.BeParams(maxmem=512, minmem=128), meminfo) == started


def test_a_display_listens_where_it_is_told() -> None:
    assert address.of(hvparams.HvParams()) == ""
    assert address.of(hvparams.HvParams(vnc_bind_address="192.0.2.1")) == "192.0.2.1"
    assert address.of(hvparams.HvParams(vnc_bind_address="/srv/vnc")) == "/srv/vnc"
    assert address.of(hvparams.HvParams(vnc_bind_address="lo")) == "127.0.0.1"
    assert address.of(hvparams.HvParams(spice_bind="::1", spice_ip_version=6)) == "::1"


@pytest.mark.parametrize(
    "params",
    [
        hvparams.HvParams(vnc_bind_address="nosuchif0"),
        hvparams.HvParams(vnc_bind_address="an-interface-of-no-length"),
        hvparams.HvParams(spice_bind="::1", spice_ip_version=4),
    ],
)
def test_a_display_that_cannot_listen_there_is_refused(params: hvparams.HvParams) -> None:
    with pytest.raises(errors.BadInput):
        address.of(params)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a..b", "-x", ".x", "a b", "a\n", "x" * 300]
)
def test_what_is_no_instances_name_is_refused(name: str) -> None:
    with pytest.raises(errors.BadInput):
        instance.check_name(name)


def test_a_programs_last_words_fit_a_line() -> None:
    assert words.last(b"one\n\n two\x1b[0m\n") == "one; two?[0m"
    assert words.last(b"") == "it says nothing"
    assert len(words.last(b"x" * 10_000)) == 2000
    assert words.status(-9) == "killed by SIGKILL"
    assert words.status(1) == "status 1"
