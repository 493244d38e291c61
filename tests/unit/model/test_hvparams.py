import json
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model import cpumask, hvparams

_RECORDED = Path(__file__).parents[2] / "golden/rpc/hypervisor_validate_params.json"
_OURS = {"firmware", "migration_tls", "tpm"}


def test_a_real_masters_parameters_are_all_known_and_right() -> None:
    (_, given), *_ = json.loads(_RECORDED.read_text())
    assert hvparams.unknown(given) == []
    assert hvparams.problems(hvparams.decode(given)) == []
    assert hvparams.KNOWN - set(given) == _OURS


def test_the_defaults_are_right_by_themselves() -> None:
    assert hvparams.problems(hvparams.HvParams()) == []


def test_what_a_newer_master_adds_is_passed_over() -> None:
    assert hvparams.decode({"from_the_future": 1}) == hvparams.HvParams()
    assert hvparams.unknown({"from_the_future": 1, "acpi": True}) == ["from_the_future"]


@pytest.mark.parametrize(
    ("flag", "tried"),
    [
        ("", ("kvm", "tcg")),
        ("enabled", ("kvm",)),
        ("disabled", ("tcg",)),
        ("kvm:tcg,tb-size=32", ("kvm", "tcg,tb-size=32")),
    ],
)
def test_accelerators_are_tried_in_order(flag: str, tried: tuple[str, ...]) -> None:
    params = hvparams.HvParams(kvm_flag=flag)
    assert params.accelerators == tried
    assert hvparams.problems(params) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"boot_order": "cdrom"}, "no cdrom_image_path"),
        ({"kvm_flag": "xen"}, "kvm_flag must be"),
        ({"kvm_flag": "tcg,tb-size=1 -device x"}, "kvm_flag must be"),
        ({"kernel_path": "boot/vmlinuz"}, "kernel_path must be an absolute"),
        ({"kernel_path": "/boot/../etc"}, "kernel_path must be an absolute"),
        ({"kernel_path": "/boot/vmlinuz", "root_path": ""}, "must be a root_path"),
        ({"cdrom_image_path": "file:///x"}, "cdrom_image_path must be"),
        ({"serial_speed": 12345}, "serial_speed 12345"),
        ({"security_model": "user"}, "needs a security_domain"),
        ({"security_domain": "nobody"}, "cannot have a security_domain"),
        ({"vnc_x509_verify": True}, "needs a vnc_x509_path"),
        ({"disk_aio": "native"}, "disk_aio native needs"),
        ({"spice_use_tls": True}, "spice_use_tls needs spice_bind"),
        ({"virtio_net_queues": 9}, "virtio_net_queues must be between 1 and 8"),
        ({"cpu_mask": "0-"}, "cpu_mask"),
        ({"kvm_extra": "a\nb"}, "kvm_extra has characters"),
        ({"kvm_path": ""}, "kvm_path must name"),
    ],
)
def test_each_thing_wrong_is_named(given: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in hvparams.problems(hvparams.decode(given)))


def test_a_parameter_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="acpi"):
        hvparams.decode({"acpi": "yes"})


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        ("all", [None]),
        ("0", [{0}]),
        ("0-2,4", [{0, 1, 2, 4}]),
        ("0:all:1,3", [{0}, None, {1, 3}]),
    ],
)
def test_a_cpu_mask_is_a_list_for_all_or_one_for_each(mask: str, found: list[Any]) -> None:
    assert cpumask.parse(mask) == found


@pytest.mark.parametrize("mask", ["", ",", "1-", "-1", "3-1", "0:", "x", "0-99999", "²"])
def test_a_cpu_mask_that_is_none_is_refused(mask: str) -> None:
    with pytest.raises(errors.BadInput):
        cpumask.parse(mask)
