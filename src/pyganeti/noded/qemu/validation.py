"""Whether this node can do what hypervisor parameters ask for: files, users, qemu's abilities."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.noded.qemu import address, capabilities, displays, machine, nics, security, words

_FILES: Final = (
    "floppy_image_path initrd_path kernel_path kvm_path spice_password_file "  # noqa: SIM905
    "vnc_password_file".split()
)
_IMAGES: Final = ("cdrom_image_path", "cdrom2_image_path")
_DIRECTORIES: Final = ("mem_path", "vnc_x509_path")


async def check(hvparams: hypervisors.HvParams, known: capabilities.Known) -> None:
    """Raise BadInput with all that is wrong, in plain words, if anything is."""
    found = [*hypervisors.problems(hvparams), *_places(hvparams)]
    if not any(problem.startswith("kvm_path") for problem in found):
        asked = await known.of(hvparams.kvm_path)
        found += _abilities(hvparams, asked)
    if found:
        raise errors.BadInput("; ".join(found))


def _places(hvparams: hypervisors.HvParams) -> Iterator[str]:
    for name in (*_FILES, *_IMAGES):
        value = getattr(hvparams, name)
        if value and "://" not in value and not Path(value).is_file():
            yield f"{name} {value}: not found or not a file"
    for name in _DIRECTORIES:
        value = getattr(hvparams, name)
        if value and not Path(value).is_dir():
            yield f"{name} {value}: not found or not a directory"


def _abilities(hvparams: hypervisors.HvParams, known: capabilities.Capabilities) -> Iterator[str]:
    def user() -> object:
        return hvparams.security_model != "user" or security.check_user(hvparams.security_domain)

    def board() -> object:
        kind = known.machine(hvparams.machine_version)
        return machine.firmware(hvparams, kind, known)

    looks = (
        user,
        board,
        lambda: address.of(hvparams),
        lambda: displays.devices(hvparams, known),
        lambda: nics.wanted(hvparams, known),
    )
    for look in looks:
        try:
            look()
        except errors.BadInput as error:
            yield str(error)
    if hvparams.spice_bind and not known.has_spice:
        yield f"{known.path} has no SPICE"
    if hvparams.tpm and not words.program("swtpm"):
        yield "this node has no swtpm, so no TPM"
