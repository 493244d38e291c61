"""The machine itself on the command line: board, accelerator, processors, memory, firmware, boot.

These are the words that stand in the runtime file and go along when a guest moves, so what is in
them must not differ between the nodes of a cluster, save for paths below Ganeti's own directories,
which are moved to those of the other node.
"""

import itertools
import pathlib
import shlex
from collections.abc import Iterator, Sequence

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded.qemu import capabilities, displays, drives, options, places, slots

_CODE = "uefi-code"
_VARIABLES = "uefi-variables"


def words(
    instance: instances.Instance, known: capabilities.Capabilities, where: places.Places
) -> list[str]:
    """Return the command line up to, but without, disks, NICs, and what differs between nodes.

    It begins as Ganeti's does, with the name, memory and processors where Ganeti looks for them.
    Raises BadInput for what this qemu cannot do.
    """
    hvparams = instance.hvparams
    name = instance.name
    kind = known.machine(hvparams.machine_version)
    layout = slots.Layout(hvparams, kind)
    line = [hvparams.kvm_path, "-name", name, "-m", str(instance.beparams.maxmem)]
    line += ["-smp", _processors(instance), "-pidfile", str(where.pid_file(name))]
    line += ["-nodefaults", "-no-user-config", "-daemonize", "-D", str(where.log(name))]
    line += _board(instance, kind, known, where)
    line += ["-uuid", instance.uuid]
    if hvparams.cpu_type:
        line += ["-cpu", hvparams.cpu_type]
    if hvparams.mem_path:
        line += ["-mem-path", hvparams.mem_path, "-mem-prealloc"]
    if hvparams.use_localtime:
        line += ["-rtc", "base=localtime"]
    if hvparams.reboot_behavior == "exit":
        line += ["-no-reboot"]
    line += ["-device", f"{known.need('virtio-balloon')},id=balloon"]
    line += _buses(layout, known)
    line += _kernel(hvparams)
    for drive, _ in drives.removable(hvparams, kind):
        line += drive
    line += _lines(instance, where)
    line += displays.devices(hvparams, known)
    line += _tpm(instance, known, where)
    return line + _extra(hvparams)


def kind_of(line: Sequence[str]) -> str:
    """Return the machine type in a command line, which may be Ganeti's; empty if it names none."""
    for option, value in itertools.pairwise(line):
        if option in {"-machine", "-M"}:
            first = value.partition(",")[0]
            return first.removeprefix("type=")
    return ""


def has_uefi(line: Sequence[str]) -> bool:
    """Tell whether a command line needs a file with UEFI variables."""
    return any(f"node-name={_VARIABLES}" in word for word in line)


def firmware(
    hvparams: hypervisors.HvParams, kind: str, known: capabilities.Capabilities
) -> capabilities.Firmware | None:
    """Return the firmware that an instance starts with, None for the BIOS that qemu brings.

    Raises BadInput if the node has none that suits.
    """
    if not hvparams.firmware:
        return None
    secure = hvparams.firmware == "uefi-secure"
    machine = kind.partition(",")[0]
    for build in known.firmware:
        if build.secure == secure and build.suits(machine):
            return build
    raise errors.BadInput(f"this node has no firmware {hvparams.firmware} for {machine}")


def _processors(instance: instances.Instance) -> str:
    hvparams = instance.hvparams
    return options.render(
        str(instance.beparams.vcpus),
        {
            "cores": hvparams.cpu_cores or None,
            "threads": hvparams.cpu_threads or None,
            "sockets": hvparams.cpu_sockets or None,
        },
    )


def _board(
    instance: instances.Instance,
    kind: str,
    known: capabilities.Capabilities,
    where: places.Places,
) -> Iterator[str]:
    hvparams = instance.hvparams
    build = firmware(hvparams, kind, known)
    properties: dict[str, options.Value] = {}
    if not hvparams.acpi:
        properties["acpi"] = False
    if build is not None:
        files = (
            (_CODE, build.code, True),
            (_VARIABLES, str(where.variables(instance.name)), False),
        )
        for node, path, fixed in files:
            below = options.nested("file", {"driver": "file", "filename": path})
            top: dict[str, options.Value] = {"node-name": node, "read-only": fixed}
            yield "-blockdev"
            yield options.render("driver=raw", top | below)
        properties |= {"pflash0": _CODE, "pflash1": _VARIABLES}
        if build.secure:
            properties["smm"] = True
            yield "-global"
            yield "driver=cfi.pflash01,property=secure,value=on"
    yield "-machine"
    yield options.render(kind, properties)
    for accelerator in hvparams.accelerators:
        yield "-accel"
        yield accelerator


def _buses(layout: slots.Layout, known: capabilities.Capabilities) -> list[str]:
    hvparams = layout.hvparams
    line: list[str] = []
    for number in layout.ports:
        values: dict[str, options.Value] = {"id": f"port{number}", "bus": "pcie.0"}
        values |= {"chassis": number, "addr": hex(number)}
        line += ["-device", options.render("pcie-root-port", values)]
    if {hvparams.disk_type, hvparams.cdrom_disk_type} & hypervisors.SCSI_DISKS:
        line += ["-device", f"{known.need(hvparams.scsi_controller_type)},id=scsi"]
    if hvparams.disk_type == "sd":
        line += ["-device", f"{known.need('sdhci-pci')},id=sd"]
    return line


def _kernel(hvparams: hypervisors.HvParams) -> list[str]:
    if not hvparams.kernel_path:
        return []
    line = ["-kernel", hvparams.kernel_path]
    if hvparams.initrd_path:
        line += ["-initrd", hvparams.initrd_path]
    append = [f"root={hvparams.root_path}", hvparams.kernel_args]
    if hvparams.serial_console:
        append.append(f"console=ttyS0,{hvparams.serial_speed}")
    return [*line, "-append", " ".join(word for word in append if word)]


def _lines(instance: instances.Instance, where: places.Places) -> list[str]:
    """Return the options for the sockets that Ganeti's own tools know."""
    hvparams = instance.hvparams
    line = ["-monitor", listening(where.socket(instance.name, ".monitor"))]
    serial = listening(where.socket(instance.name, ".serial"))
    line += ["-serial", serial if hvparams.serial_console else "none"]
    if hvparams.use_guest_agent:
        path = options.text(str(where.socket(instance.name, ".qga")))
        line += ["-chardev", f"socket,id=qga0,path={path},server=on,wait=off"]
        line += ["-device", "virtio-serial-pci,id=qga0"]
        line += ["-device", "virtserialport,bus=qga0.0,chardev=qga0,name=org.qemu.guest_agent.0"]
    return line


def listening(path: pathlib.Path) -> str:
    """Return how a character device is told to listen on a Unix socket."""
    return f"unix:{options.text(str(path))},server=on,wait=off"


def _tpm(
    instance: instances.Instance, known: capabilities.Capabilities, where: places.Places
) -> list[str]:
    if not instance.hvparams.tpm:
        return []
    if not known.swtpm:
        raise errors.BadInput("this node has no swtpm, so no TPM")
    device = "tpm-crb" if instance.hvparams.tpm == "2.0" and known.has("tpm-crb") else "tpm-tis"
    path = options.text(str(where.tpm_socket(instance.name)))
    line = ["-chardev", f"socket,id=tpm,path={path}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    return [*line, "-device", f"{known.need(device)},tpmdev=tpm0"]


def _extra(hvparams: hypervisors.HvParams) -> list[str]:
    try:
        return shlex.split(hvparams.kvm_extra)
    except ValueError as error:
        raise errors.BadInput(f"kvm_extra: {error}") from error
