"""The hypervisor parameters of KVM: Ganeti's names and defaults, typed, and ours beyond them.

A parameter that is not given has its default; one that is not known is passed over here, since a
newer master may send it, and reported by `unknown`. Ours, which Ganeti does not have:

- ``kvm_flag`` may also be a list of accelerators, tried in order: ``kvm:tcg``; each may have
  properties: ``tcg,tb-size=32``. Ganeti's ``enabled`` is ``kvm``, ``disabled`` is ``tcg``, and an
  empty one is ``kvm:tcg``.
- ``firmware``: empty is the BIOS, ``uefi``, or ``uefi-secure`` with Secure Boot.
- ``tpm``: empty is none, or the version, ``2.0`` or ``1.2``.
- ``disk_aio`` may be ``io_uring``.
- ``migration_tls``: guests move through TLS, by which each of the two nodes knows the other.

`problems` says what is wrong with the values as such; whether the files named are there, and
whether the node's qemu can do it, only a node can tell.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import cpumask

NIC_TYPES: Final = (
    "e1000 i82551 i82557b i82559er ne2k_isa ne2k_pci paravirtual pcnet rtl8139".split()  # noqa: SIM905
)
SCSI_DISKS: Final = frozenset(("scsi", "scsi-block", "scsi-cd", "scsi-generic", "scsi-hd"))
"""Disk types that sit on a SCSI controller."""

DISK_TYPES: Final = ("ide", "paravirtual", *sorted(SCSI_DISKS), "sd")
"""Ganeti also knows ``mtd`` and ``pflash``, which no PC boots from."""

_COMPRESSIONS: Final = ("", "always", "auto", "never")
_CHOICES: Final[Mapping[str, Iterable[object]]] = {
    "boot_order": ("cdrom", "disk", "floppy", "network"),
    "cdrom_disk_type": ("", *DISK_TYPES),
    "disk_aio": ("", "io_uring", "native", "threads"),
    "disk_cache": ("default", "none", "writeback", "writethrough"),
    "disk_discard": ("default", "ignore", "unmap"),
    "disk_type": DISK_TYPES,
    "firmware": ("", "uefi", "uefi-secure"),
    "migration_mode": ("live", "non-live"),
    "nic_type": NIC_TYPES,
    "reboot_behavior": ("exit", "reboot"),
    "scsi_controller_type": ("lsi", "megasas", "virtio-scsi-pci"),
    "security_model": ("none", "pool", "user"),
    "spice_image_compression": ("", "auto_glz", "auto_lz", "glz", "lz", "off", "quic"),
    "spice_ip_version": (0, 4, 6),
    "spice_jpeg_wan_compression": _COMPRESSIONS,
    "spice_streaming_video": ("", "all", "filter", "off"),
    "spice_zlib_glz_wan_compression": _COMPRESSIONS,
    "tpm": ("", "1.2", "2.0"),
    "usb_mouse": ("", "mouse", "tablet"),
}
_RANGES: Final = {
    "cpu_cores": (0, 1024),
    "cpu_sockets": (0, 1024),
    "cpu_threads": (0, 1024),
    "kvm_pci_reservations": (0, 32),
    "migration_bandwidth": (0, 1 << 40),
    "migration_downtime": (0, 2_000_000),
    "migration_port": (1, 65534),
    "virtio_net_queues": (1, 8),
}
_PATHS: Final = (
    "floppy_image_path initrd_path kernel_path kvm_path mem_path spice_password_file "  # noqa: SIM905
    "vnc_password_file vnc_x509_path".split()
)
_IMAGES: Final = ("cdrom_image_path", "cdrom2_image_path")
_URL: Final = re.compile(r"(?:https?|ftps?)://\S+")
_SLOW_SPEEDS: Final = (75, 110, 300, 600, 1200, 1800, 2400, 4800, 9600, 14400, 19200, 28800)
_SPEEDS: Final = frozenset((*_SLOW_SPEEDS, 38400, 57600, 115200, 345600, 460800))
_ACCELERATOR: Final = re.compile(r"(?:kvm|tcg)(?:,[a-z-]+=[A-Za-z0-9_-]+)*")
_ACCELERATORS: Final = {"": "kvm:tcg", "enabled": "kvm", "disabled": "tcg"}


class HvParams(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator sets about how instances run."""

    acpi: bool = True
    boot_order: str = "disk"
    cdrom2_image_path: str = ""
    cdrom_disk_type: str = ""
    cdrom_image_path: str = ""
    cpu_cores: int = 0
    cpu_mask: str = "all"
    cpu_sockets: int = 0
    cpu_threads: int = 0
    cpu_type: str = ""
    disk_aio: str = "threads"
    disk_cache: str = "default"
    disk_discard: str = "default"
    disk_type: str = "paravirtual"
    firmware: str = ""
    floppy_image_path: str = ""
    initrd_path: str = ""
    kernel_args: str = "ro"
    kernel_path: str = ""
    keymap: str = ""
    kvm_extra: str = ""
    kvm_flag: str = ""
    kvm_path: str = "/usr/bin/kvm"
    kvm_pci_reservations: int = 12
    machine_version: str = ""
    mem_path: str = ""
    migration_bandwidth: int = 32
    migration_caps: str = ""
    migration_downtime: int = 30
    migration_mode: str = "live"
    migration_port: int = 8102
    migration_tls: bool = False
    nic_type: str = "paravirtual"
    reboot_behavior: str = "reboot"
    root_path: str = "/dev/vda1"
    scsi_controller_type: str = "lsi"
    security_domain: str = ""
    security_model: str = "none"
    serial_console: bool = True
    serial_speed: int = 38400
    soundhw: str = ""
    spice_bind: str = ""
    spice_image_compression: str = ""
    spice_ip_version: int = 0
    spice_jpeg_wan_compression: str = ""
    spice_password_file: str = ""
    spice_playback_compression: bool = True
    spice_streaming_video: str = ""
    spice_tls_ciphers: str = "HIGH:-DES:-3DES:-EXPORT:-DH"
    spice_use_tls: bool = False
    spice_use_vdagent: bool = True
    spice_zlib_glz_wan_compression: str = ""
    tpm: str = ""
    usb_devices: str = ""
    usb_mouse: str = ""
    use_chroot: bool = False
    use_guest_agent: bool = False
    use_localtime: bool = False
    user_shutdown: bool = False
    vga: str = ""
    vhost_net: bool = False
    virtio_net_queues: int = 1
    vnc_bind_address: str = ""
    vnc_password_file: str = ""
    vnc_tls: bool = False
    vnc_x509_path: str = ""
    vnc_x509_verify: bool = False
    vnet_hdr: bool = True

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The accelerators to try, in order, each with its properties."""
        return tuple(_ACCELERATORS.get(self.kvm_flag, self.kvm_flag).split(":"))


KNOWN: Final = frozenset(HvParams.__struct_fields__)


def decode(given: Mapping[str, Any]) -> HvParams:
    """Return parameters from a JSON object; raises BadInput if one is of the wrong type."""
    try:
        return msgspec.convert(given, HvParams)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"hypervisor parameters: {error}") from error


def unknown(given: Iterable[str]) -> list[str]:
    """Return the names that are no parameters of KVM."""
    return sorted(set(given) - KNOWN)


def problems(params: HvParams) -> list[str]:
    """Return what is wrong with the values as such, in plain words; empty if nothing is."""
    return [*_single(params), *_together(params)]


def _single(params: HvParams) -> Iterator[str]:
    for name, choices in _CHOICES.items():
        if getattr(params, name) not in choices:
            yield f"{name} must be one of: " + ", ".join(str(c) or "(empty)" for c in choices)
    for name, (least, most) in _RANGES.items():
        if not least <= getattr(params, name) <= most:
            yield f"{name} must be between {least} and {most}"
    for name in _PATHS:
        if not _is_path(getattr(params, name)):
            yield f"{name} must be an absolute normalized path"
    for name in _IMAGES:
        value = getattr(params, name)
        if not (_is_path(value) or _URL.fullmatch(value)):
            yield f"{name} must be an absolute normalized path or a URL"
    if not all(_ACCELERATOR.fullmatch(one) for one in params.accelerators):
        yield "kvm_flag must be enabled, disabled, or accelerators such as kvm:tcg"
    try:
        cpumask.parse(params.cpu_mask or "all")
    except errors.BadInput as error:
        yield str(error)
    for name in params.__struct_fields__:
        value = getattr(params, name)
        if isinstance(value, str) and not value.isprintable():
            yield f"{name} has characters that do not print"


def _together(params: HvParams) -> Iterator[str]:
    if not params.kvm_path:
        yield "kvm_path must name the qemu program"
    if params.boot_order == "cdrom" and not (params.cdrom_image_path or params.kernel_path):
        yield "boot_order is cdrom, but there is no cdrom_image_path"
    if params.kernel_path and not params.root_path:
        yield "with a kernel_path there must be a root_path"
    if params.serial_console and params.serial_speed not in _SPEEDS:
        yield f"serial_speed {params.serial_speed} is none that serial lines have"
    if params.security_model == "user" and not params.security_domain:
        yield "security_model user needs a security_domain, the user to run as"
    if params.security_model != "user" and params.security_domain:
        yield f"security_model {params.security_model} cannot have a security_domain"
    if params.vnc_x509_verify and not params.vnc_x509_path:
        yield "vnc_x509_verify needs a vnc_x509_path"
    if params.vnc_bind_address and params.spice_bind:
        yield "an instance has VNC or SPICE, not both"
    if params.disk_aio == "native" and params.disk_cache != "none":
        yield "disk_aio native needs disk_cache none"
    if not params.spice_bind:
        for name in _SPICE_ONLY:
            if getattr(params, name):
                yield f"{name} needs spice_bind"


_SPICE_ONLY: Final = (
    "spice_ip_version",
    "spice_password_file",
    "spice_image_compression",
    "spice_jpeg_wan_compression",
    "spice_zlib_glz_wan_compression",
    "spice_streaming_video",
    "spice_use_tls",
)


def _is_path(value: str) -> bool:
    return not value or (value.startswith("/") and posixpath.normpath(value) == value)
