from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.cli import params


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", {}),
        ("a=1,b=x y", {"a": "1", "b": "x y"}),
        ("a", {"a": True}),
        ("no_a,-b", {"a": False, "b": "default"}),
        ("a=1\\,2,b=", {"a": "1,2", "b": ""}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_settings_are_read_as_ganeti_reads_them(text: str, meant: dict[str, Any]) -> None:
    assert params.settings(text) == meant


@pytest.mark.parametrize("text", ["=1", "a=1,a=2", "no_"])
def test_settings_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(errors.BadInput):
        params.settings(text)


def test_a_name_stands_before_a_colon() -> None:
    assert params.identified("0:size=10G") == ("0", {"size": "10G"})
    assert params.identified("add") == ("add", {})


def test_memory_is_both_the_least_and_the_most() -> None:
    assert params.backend("memory=1G,vcpus=2") == {"maxmem": 1024, "minmem": 1024, "vcpus": 2}


def test_values_get_the_types_of_the_defaults() -> None:
    assert params.hypervisor({"acpi": "no", "serial_speed": "9600", "boot_order": "cdrom"}) == {
        "acpi": False,
        "serial_speed": 9600,
        "boot_order": "cdrom",
    }
    assert params.hypervisor({"acpi": "default", "kernel_path": False}) == {
        "acpi": "default",
        "kernel_path": "",
    }


@pytest.mark.parametrize(
    "given", [{"nosuch": "1"}, {"acpi": "maybe"}, {"serial_speed": "x"}, {"kernel_path": True}]
)
def test_what_cannot_be_a_parameter_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput, match=next(iter(given))):
        params.hypervisor(given)


def test_ranges_of_users_are_pairs_in_order() -> None:
    assert params.ranges("") == []
    assert params.ranges("4030,4000-4019") == [(4000, 4019), (4030, 4030)]


@pytest.mark.parametrize("text", ["a", "5-1", "1-5,5", "-1", "1-2-3"])
def test_what_is_no_range_of_users_is_refused(text: str) -> None:
    with pytest.raises(errors.BadInput):
        params.ranges(text)
