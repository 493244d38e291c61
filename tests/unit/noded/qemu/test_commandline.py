"""The command line, word by word: golden files of instances that use one thing each.

``PYGANETI_GOLDEN=write`` writes them anew; what changed is then seen in the commit.
"""

import ast
import dataclasses
import inspect
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyganeti.base import errors, paths
from pyganeti.model import hvparams
from pyganeti.model import instance as instances
from pyganeti.noded.instance import hypervisor, migrate, start
from pyganeti.noded.qemu import (
    address,
    capabilities,
    commandline,
    drives,
    nics,
    options,
    places,
    security,
)

_GOLDEN = Path(__file__).parents[3] / "golden"
_DISK_2 = "11111111-2222-3333-4444-555555555555"
_NIC_2 = "22222222-3333-4444-5555-666666666666"

_FIRMWARE = (
    capabilities.Firmware("/usr/share/OVMF/CODE.secboot.fd", "/x", ("pc-q35-*",), secure=True),
    capabilities.Firmware(
        "/usr/share/OVMF/CODE.fd", "/x", ("pc-i440fx-*", "pc-q35-*"), secure=False
    ),
)

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "accelerators": {"kvm_flag": "kvm:tcg,tb-size=32", "machine_version": "pc", "cpu_type": "max"},
    "topology": {"cpu_cores": 2, "cpu_threads": 2, "cpu_sockets": 1, "beparams": {"vcpus": 4}},
    "hugepages": {"mem_path": "/dev/hugepages", "beparams": {"maxmem": 2048, "minmem": 1024}},
    "no-acpi-exit-localtime": {"acpi": False, "reboot_behavior": "exit", "use_localtime": True},
    "kernel": {
        "kernel_path": "/boot/vmlinuz",
        "initrd_path": "/boot/initrd.img",
        "kernel_args": "ro quiet",
        "kvm_flag": "",
    },
    "cdrom": {
        "boot_order": "cdrom",
        "cdrom_image_path": "/srv/a,b.iso",
        "cdrom2_image_path": "http://example.com/tools.iso",
        "cdrom_disk_type": "ide",
    },
    "floppy": {"boot_order": "floppy", "floppy_image_path": "/srv/boot.img"},
    "floppy-q35": {
        "boot_order": "floppy",
        "floppy_image_path": "/srv/boot.img",
        "machine_version": "q35",
    },
    "network-boot": {"boot_order": "network", "two": True},
    "disk-native-unmap": {"disk_cache": "none", "disk_aio": "native", "disk_discard": "unmap"},
    "disk-writethrough": {"disk_cache": "writethrough", "template": "plain"},
    "disk-io-uring": {"disk_aio": "io_uring", "disk_cache": "writeback", "template": "file"},
    "disk-qcow2": {"format": "qcow2"},
    "disk-ide": {"disk_type": "ide", "two": True, "cdrom_image_path": "/srv/a.iso"},
    "disk-scsi": {
        "disk_type": "scsi-hd",
        "scsi_controller_type": "virtio-scsi-pci",
        "two": True,
        "cdrom_image_path": "/srv/a.iso",
    },
    "disk-rbd": {"uri": "rbd:pool/image:conf=/etc/ceph/ceph.conf:id=ganeti"},
    "disk-iscsi": {"uri": "iscsi://store.example.com/iqn.2024-01.com.example:disks/3"},
    "disk-device": {"template": "blockdev", "disk_cache": "writeback"},
    "disk-sd": {"disk_type": "sd"},
    "disk-scsi-lsi": {"disk_type": "scsi-hd", "two": True, "cdrom_image_path": "/srv/a.iso"},
    "disk-scsi-megasas": {"disk_type": "scsi-hd", "scsi_controller_type": "megasas"},
    "cdrom-scsi-beside-virtio": {
        "cdrom_image_path": "/srv/a.iso",
        "cdrom_disk_type": "scsi-cd",
        "scsi_controller_type": "virtio-scsi-pci",
    },
    "network-boot-with-kernel": {"boot_order": "network", "kernel_path": "/boot/vmlinuz"},
    "disk-gluster": {"uri": "gluster://store.example.com:24007/vm/dir/k1"},
    "nic-vhost-multiqueue": {"vhost_net": True, "virtio_net_queues": 2, "descriptors": True},
    "nic-multiqueue-by-name": {"virtio_net_queues": 4},
    "nic-vhost": {"vhost_net": True, "one_queue": True},
    "nic-ne2k-isa": {"nic_type": "ne2k_isa"},
    "nic-e1000": {"nic_type": "e1000"},
    "no-nic": {"no_nics": True},
    "serial-off-agent": {"serial_console": False, "use_guest_agent": True},
    "vnc": {"vnc_bind_address": "::", "keymap": "de", "vnc_password_file": "/etc/vnc"},
    "vnc-tls-unix": {
        "vnc_bind_address": "/srv/vnc",
        "vnc_tls": True,
        "vnc_x509_path": "/etc/pki",
        "vnc_x509_verify": True,
    },
    "spice": {
        "spice_bind": "127.0.0.1",
        "spice_use_tls": True,
        "spice_image_compression": "off",
        "soundhw": "hda",
    },
    "usb-sound-vga": {
        "usb_mouse": "mouse",
        "usb_devices": "host:1234:abcd,host:1.4,keyboard",
        "soundhw": "ac97",
        "vga": "cirrus",
    },
    "vnc-one-address": {"vnc_bind_address": "127.0.0.1", "vnc_tls": True},
    "spice-password": {
        "spice_bind": "127.0.0.1",
        "spice_password_file": "/etc/spice",
        "spice_use_vdagent": False,
        "spice_playback_compression": False,
        "spice_streaming_video": "filter",
    },
    "tpm-1.2": {"tpm": "1.2"},
    "uefi": {"firmware": "uefi"},
    "uefi-secure-q35-tpm": {"firmware": "uefi-secure", "machine_version": "q35", "tpm": "2.0"},
    "q35": {"machine_version": "q35", "two": True, "kvm_pci_reservations": 22},
    "security-user-chroot": {
        "security_model": "user",
        "security_domain": "nobody",
        "use_chroot": True,
        "run_as": "nobody",
    },
    "security-pool": {"security_model": "pool", "run_as": "45001:45001"},
    "chroot-alone": {"use_chroot": True},
    "run-with": {
        "security_model": "user",
        "security_domain": "nobody",
        "use_chroot": True,
        "run_as": "nobody",
        "version": (9, 1, 0),
    },
    "extra": {"kvm_extra": "-device isa-debug-exit -fw_cfg 'name=opt/x,string=a b'"},
    "held": {"hold": True},
    "incoming": {"incoming": "defer"},
}
_NOT_PARAMETERS = frozenset(
    "beparams two template format uri descriptors no_nics run_as hold incoming one_queue"  # noqa: SIM905
    " version".split()
)
_HERE = places.Places(paths.Paths())


def known(version: str = "7.2") -> capabilities.Capabilities:
    answers = json.loads((_GOLDEN / f"qemu/qemu-{version}.json").read_text())
    return capabilities.parse(
        "/usr/bin/qemu-system-x86_64", answers, firmware=_FIRMWARE, swtpm="/usr/bin/swtpm"
    )


def described(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((_GOLDEN / "rpc/instance_start.json").read_text())[0][0]
    body["hvparams"] |= {k: v for k, v in changes.items() if k not in _NOT_PARAMETERS}
    body["hvparams"].pop("template", None)
    body["beparams"] |= changes.get("beparams", {})
    if changes.get("two"):
        body["disks_info"].append({**body["disks_info"][0], "uuid": _DISK_2})
        body["nics"].append({**body["nics"][0], "uuid": _NIC_2, "mac": "aa:bb:cc:00:00:02"})
    if changes.get("no_nics"):
        body["nics"] = []
    for disk in body["disks_info"]:
        disk["dev_type"] = changes.get("template", "sharedfile")
        if "uri" in changes:
            disk["params"] = {"access": "userspace"}
            disk["dev_type"] = "rbd"
    return body


def lines(where: places.Places = _HERE, **changes: Any) -> str:
    instance = msgspec.convert(described(**changes), instances.Instance)
    disks = [
        drives.Drive(
            disk,
            f"/var/run/ganeti/instance-disks/{instance.name}:{n}",
            changes.get("uri"),
            is_device=disk["dev_type"] in {"plain", "blockdev"},
            image_format=changes.get("format", "raw"),
        )
        for n, disk in enumerate(instance.disks_info)
    ]
    able = dataclasses.replace(known(), version=changes.get("version", known().version))
    runtime = commandline.prepare(instance, able, where, disks)
    queues = ((7,), (8,)) if changes.get("one_queue") else ((7, 8), (9, 10))
    taps = [
        nics.Tap(f"tap{n}", *(queues if {"descriptors", "one_queue"} & changes.keys() else ()))
        for n, _ in enumerate(runtime.nics)
    ]
    start = commandline.Start(
        drives=disks,
        taps=taps,
        address=instance.hvparams.vnc_bind_address or instance.hvparams.spice_bind,
        run_as=changes.get("run_as", ""),
        hold=changes.get("hold", False),
        incoming=changes.get("incoming", ""),
    )
    return options.join(commandline.complete(runtime, instance, able, where, start))


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_command_line_is_the_golden_one(case: str) -> None:
    made = lines(**CASES[case])
    golden = _GOLDEN / f"qemu/{case}.txt"
    if os.environ.get("PYGANETI_GOLDEN") == "write":
        golden.write_text(made)
    assert made == golden.read_text()


def test_there_is_no_golden_file_without_a_case() -> None:
    assert {path.stem for path in (_GOLDEN / "qemu").glob("*.txt")} == set(CASES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine_version": "pc-i440fx-99.0"}, "no machine pc-i440fx-99.0"),
        ({"soundhw": "trumpet"}, "soundhw trumpet"),
        ({"usb_devices": "coffee"}, "no device usb-coffee"),
        ({"usb_devices": "host:1"}, "names no device"),
        ({"kvm_pci_reservations": 31, "two": True}, "no PCI slot left"),
        ({"kvm_extra": "-append 'unclosed"}, "kvm_extra"),
        ({"firmware": "uefi-secure"}, "no firmware uefi-secure for pc-i440fx-7.2"),
        ({"uri": "carrier-pigeon://coop/1"}, "not known to reach"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        lines(**changes)


def test_a_disk_and_two_cds_share_the_ide_bus() -> None:
    made = lines(disk_type="ide", cdrom_image_path="/a", cdrom2_image_path="/b")
    assert made.count("bus=ide.") == 3


def test_a_comma_in_a_path_stays_in_the_path() -> None:
    assert "file.filename=/srv/a,,b.iso" in lines(**CASES["cdrom"])


def test_two_makings_of_the_same_instance_are_the_same() -> None:
    assert lines() == lines()


def test_every_path_is_below_a_moved_root() -> None:
    where = places.Places(paths.Paths(Path("/nodes/n1")))
    made = lines(where, use_guest_agent=True)
    assert made.count("/nodes/n1/var/run/ganeti/kvm-hypervisor/") == 6
    assert "=/var/run" not in made.replace("instance-disks", "").replace("filename=/var/run", "")


CHANGES: dict[str, dict[str, Any]] = {
    "acpi": {"acpi": False},
    "boot_order": {"boot_order": "network"},
    "cdrom2_image_path": {"cdrom2_image_path": "/b.iso"},
    "cdrom_disk_type": {"cdrom_image_path": "/a.iso", "cdrom_disk_type": "ide"},
    "cdrom_image_path": {"cdrom_image_path": "/a.iso"},
    "cpu_cores": {"beparams": {"vcpus": 4}, "cpu_cores": 4},
    "cpu_sockets": {"beparams": {"vcpus": 4}, "cpu_sockets": 4},
    "cpu_threads": {"beparams": {"vcpus": 4}, "cpu_threads": 4},
    "cpu_type": {"cpu_type": "max"},
    "disk_aio": {"disk_aio": "io_uring", "template": "file"},
    "disk_cache": {"disk_cache": "writethrough", "template": "plain"},
    "disk_discard": {"disk_discard": "unmap"},
    "disk_type": {"disk_type": "ide"},
    "firmware": {"firmware": "uefi"},
    "floppy_image_path": {"floppy_image_path": "/f.img"},
    "initrd_path": {"kernel_path": "/boot/vmlinuz", "initrd_path": "/boot/initrd.img"},
    "kernel_args": {"kernel_path": "/boot/vmlinuz", "kernel_args": "quiet"},
    "kernel_path": {"kernel_path": "/boot/vmlinuz"},
    "keymap": {"keymap": "de"},
    "kvm_extra": {"kvm_extra": "-device isa-debug-exit"},
    "kvm_flag": {"kvm_flag": "kvm"},
    "kvm_path": {"kvm_path": "/opt/qemu"},
    "kvm_pci_reservations": {"kvm_pci_reservations": 20},
    "machine_version": {"machine_version": "q35"},
    "mem_path": {"mem_path": "/dev/hugepages"},
    "nic_type": {"nic_type": "e1000"},
    "reboot_behavior": {"reboot_behavior": "exit"},
    "root_path": {"kernel_path": "/boot/vmlinuz", "root_path": "/dev/vda7"},
    "scsi_controller_type": {"disk_type": "scsi-hd", "scsi_controller_type": "megasas"},
    "serial_console": {"serial_console": False},
    "serial_speed": {"kernel_path": "/boot/vmlinuz", "serial_speed": 9600},
    "soundhw": {"soundhw": "hda"},
    "spice_bind": {"spice_bind": "127.0.0.1"},
    "spice_image_compression": {"spice_bind": "127.0.0.1", "spice_image_compression": "lz"},
    "spice_jpeg_wan_compression": {
        "spice_bind": "127.0.0.1",
        "spice_jpeg_wan_compression": "never",
    },
    "spice_password_file": {"spice_bind": "127.0.0.1", "spice_password_file": "/etc/spice"},
    "spice_playback_compression": {"spice_bind": "127.0.0.1", "spice_playback_compression": False},
    "spice_streaming_video": {"spice_bind": "127.0.0.1", "spice_streaming_video": "all"},
    "spice_tls_ciphers": {
        "spice_bind": "127.0.0.1",
        "spice_use_tls": True,
        "spice_tls_ciphers": "HIGH",
    },
    "spice_use_tls": {"spice_bind": "127.0.0.1", "spice_use_tls": True},
    "spice_use_vdagent": {"spice_bind": "127.0.0.1", "spice_use_vdagent": False},
    "spice_zlib_glz_wan_compression": {
        "spice_bind": "127.0.0.1",
        "spice_zlib_glz_wan_compression": "never",
    },
    "tpm": {"tpm": "2.0"},
    "usb_devices": {"usb_devices": "keyboard"},
    "usb_mouse": {"usb_mouse": "tablet"},
    "use_chroot": {"use_chroot": True},
    "use_guest_agent": {"use_guest_agent": True},
    "use_localtime": {"use_localtime": True},
    "vga": {"vga": "cirrus"},
    "vhost_net": {"one_queue": True, "vhost_net": True},
    "virtio_net_queues": {"virtio_net_queues": 4},
    "vnc_bind_address": {"vnc_bind_address": "127.0.0.1"},
    "vnc_password_file": {"vnc_bind_address": "127.0.0.1", "vnc_password_file": "/etc/vnc"},
    "vnc_tls": {"vnc_bind_address": "127.0.0.1", "vnc_tls": True},
    "vnc_x509_path": {
        "vnc_bind_address": "127.0.0.1",
        "vnc_tls": True,
        "vnc_x509_path": "/etc/pki",
    },
    "vnc_x509_verify": {
        "vnc_bind_address": "127.0.0.1",
        "vnc_tls": True,
        "vnc_x509_path": "/etc/pki",
        "vnc_x509_verify": True,
    },
}
"""For each parameter that the command line shows: instances on which that one is seen."""

BESIDE = {
    "cpu_mask": start,
    "migration_bandwidth": migrate,
    "migration_caps": migrate,
    "migration_downtime": migrate,
    "migration_port": migrate,
    "migration_tls": migrate,
    "security_domain": security,
    "security_model": security,
    "spice_ip_version": address,
    "user_shutdown": hypervisor,
    "vnet_hdr": nics,
}
"""Where the others are read: before qemu starts or over QMP; tried on guests that run."""

THE_MASTERS = {"migration_mode"}
"""Whether a guest is moved alive: a master says so in the call itself."""


def test_no_parameter_is_taken_and_ignored() -> None:
    (_, sent), *_ = json.loads((_GOLDEN / "rpc/hypervisor_validate_params.json").read_text())
    assert sent.keys() <= hvparams.KNOWN
    assert CHANGES.keys() | BESIDE.keys() | THE_MASTERS == hvparams.KNOWN


@pytest.mark.parametrize("parameter", sorted(CHANGES))
def test_a_parameter_changes_the_command_line(parameter: str) -> None:
    changes = CHANGES[parameter]
    without = {key: value for key, value in changes.items() if key != parameter}
    assert lines(**changes) != lines(**without)


@pytest.mark.parametrize("parameter", sorted(BESIDE))
def test_a_parameter_that_is_not_on_the_command_line_is_read(parameter: str) -> None:
    tree = ast.parse(inspect.getsource(BESIDE[parameter]))
    assert parameter in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
