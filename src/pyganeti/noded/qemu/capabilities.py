"""What a qemu binary can do, asked of the binary itself over QMP, and remembered until it changes.

A qemu with no machine answers in 0.1 s. What was learnt is kept by path, change time, size and
inode, so that an upgrade of qemu is noticed; two questions about the same binary at once are
asked once. A binary that is missing, hangs or is no qemu is `errors.Unavailable` with its own
words.
"""

import asyncio
import fnmatch
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from pyganeti.base import errors, runner
from pyganeti.noded.qemu import words

_TIMEOUT: Final = 20.0
_OUTPUT_LIMIT: Final = 8 << 20
_COMMANDS: Final = (
    {"execute": "qmp_capabilities"},
    {"execute": "query-version", "id": "version"},
    {"execute": "query-machines", "id": "machines"},
    {"execute": "query-commands", "id": "commands"},
    {"execute": "query-command-line-options", "id": "options"},
    {"execute": "qom-list-types", "id": "devices", "arguments": {"implements": "device"}},
    {"execute": "quit"},
)
_LEAST: Final = (4, 2)
_FIRMWARE: Final = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
_ALIASES: Final = {
    "lsi": "lsi53c895a",
    "virtio-balloon": "virtio-balloon-pci",
    "virtio-serial": "virtio-serial-pci",
}
Key: TypeAlias = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Firmware:
    """A UEFI build: its code, the template of its variables, and which machines it is for."""

    code: str
    template: str
    machines: tuple[str, ...]
    secure: bool
    """It keeps its variables from the guest's kernel, and has keys enrolled."""

    def suits(self, machine: str) -> bool:
        """Tell whether it is for a machine type."""
        return any(fnmatch.fnmatchcase(machine, pattern) for pattern in self.machines)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One qemu binary's."""

    path: str
    version: tuple[int, int, int]
    machines: frozenset[str]
    """Names and aliases."""
    default_machine: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    options: frozenset[str] = frozenset()
    firmware: tuple[Firmware, ...] = ()
    swtpm: str = ""
    """The program that plays a TPM; empty if there is none."""

    def has(self, device: str) -> bool:
        """Tell whether it can make a device of that kind."""
        return _ALIASES.get(device, device) in self.devices

    def need(self, device: str) -> str:
        """Return the device's name; raises BadInput if this qemu has none such."""
        if not self.has(device):
            raise errors.BadInput(f"{self.path} has no device {device}")
        return device

    def machine(self, wanted: str) -> str:
        """Return the machine type by its lasting name; raises BadInput if it is not known.

        An alias such as ``q35`` means another machine with each qemu, and a guest that moves
        must not.
        """
        if not wanted:
            return self.default_machine
        kind, comma, properties = wanted.partition(",")
        if kind not in self.machines:
            raise errors.BadInput(f"{self.path} has no machine {kind}")
        return self.aliases.get(kind, kind) + comma + properties

    @property
    def can_hold(self) -> bool:
        """Whether it can stay when its guest powers off."""
        return "action" in self.options

    @property
    def has_spice(self) -> bool:
        """Whether it has SPICE."""
        return "query-spice" in self.commands


class Known:
    """The capabilities of the binaries that were asked so far."""

    def __init__(self, *, firmware: Sequence[Path] = _FIRMWARE) -> None:
        self._firmware = firmware
        self._found: dict[str, tuple[Key, Capabilities]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def of(self, path: str) -> Capabilities:
        """Return a binary's capabilities; raises Unavailable if it is not there or no qemu."""
        async with self._asking.setdefault(path, asyncio.Lock()):
            key = _key(path)
            known = self._found.get(path)
            if known is not None and known[0] == key:
                return known[1]
            answers = await _ask(path)
            builds = await asyncio.to_thread(_read, self._firmware)
            found = parse(path, answers, firmware=builds, swtpm=words.program("swtpm"))
            self._found[path] = key, found
            return found


def parse(
    path: str, answers: Mapping[str, Any], *, firmware: tuple[Firmware, ...] = (), swtpm: str = ""
) -> Capabilities:
    """Return what a qemu's answers mean; raises Unavailable if they are none of a qemu's."""
    try:
        number = answers["version"]["qemu"]
        version = (int(number["major"]), int(number["minor"]), int(number["micro"]))
        machines = answers["machines"]
        default = next((m["name"] for m in machines if m.get("is-default")), "")
        found = Capabilities(
            path=path,
            version=version,
            machines=frozenset(n for m in machines for n in (m["name"], m.get("alias")) if n),
            aliases={m["alias"]: m["name"] for m in machines if m.get("alias")},
            default_machine=default or next(m["name"] for m in machines if m["name"] != "none"),
            devices=frozenset(d["name"] for d in answers["devices"]),
            commands=frozenset(c["name"] for c in answers["commands"]),
            options=frozenset(o["option"] for o in answers["options"]),
            firmware=firmware,
            swtpm=swtpm,
        )
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise errors.Unavailable(f"{path} does not answer as a qemu does: {error!r}") from error
    if version < _LEAST:
        raise errors.Unavailable(f"{path} is QEMU {version[0]}.{version[1]}, which is too old")
    return found


def _key(path: str) -> Key:
    try:
        found = os.stat(path)  # noqa: PTH116 - a str, and its numbers alone matter
    except OSError as error:
        raise errors.Unavailable(f"no qemu at {path}: {error.strerror}") from error
    return (os.path.realpath(path), found.st_mtime_ns, found.st_size, found.st_ino)


async def _ask(path: str) -> dict[str, Any]:
    line = [path, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]
    questions = b"".join(json.dumps(command).encode() + b"\n" for command in _COMMANDS)
    try:
        ended = await runner.run(
            [*line, "-accel", "tcg", "-qmp", "stdio"],
            environment=words.ENVIRONMENT,
            timeout=_TIMEOUT,
            stdin=questions,
            output_limit=_OUTPUT_LIMIT,
        )
    except OSError as error:
        raise errors.Unavailable(f"{path} cannot be run: {error.strerror}") from error
    answers: dict[str, Any] = {}
    other: list[str] = []
    for answer in ended.output.splitlines():
        try:
            said = msgspec.json.decode(answer)
        except msgspec.DecodeError:
            other.append(answer.decode(errors="replace"))
            continue
        if isinstance(said, dict) and "id" in said and "return" in said:
            answers[said["id"]] = said["return"]
    if ended.timed_out or ended.status != 0:
        how = "does not answer" if ended.timed_out else f"failed ({words.status(ended.status)})"
        raise errors.Unavailable(f"{path} {how}: {words.last(other)}")
    return answers


def _read(directories: Sequence[Path]) -> tuple[Firmware, ...]:
    """Read the descriptions that firmware packages install (docs/interop/firmware.json)."""
    found: dict[str, Path] = {}
    for directory in reversed(directories):
        found |= {path.name: path for path in directory.glob("*.json")}
    builds = []
    for _, path in sorted(found.items()):
        try:
            told = msgspec.json.decode(path.read_bytes())
            build = _firmware(told)
        except (OSError, msgspec.DecodeError, KeyError, TypeError):
            continue  # somebody else's file; those that can be read are what there is
        if build is not None and Path(build.code).exists():
            builds.append(build)
    return tuple(builds)


def _firmware(told: Mapping[str, Any]) -> Firmware | None:
    mapping = told["mapping"]
    if "uefi" not in told["interface-types"] or mapping.get("device") != "flash":
        return None
    if mapping["executable"].get("format") != "raw":
        return None
    targets = [t for t in told["targets"] if t["architecture"] == "x86_64"]
    features = told.get("features", ())
    if not targets or ("secure-boot" in features) != ("enrolled-keys" in features):
        return None
    return Firmware(
        code=mapping["executable"]["filename"],
        template=mapping["nvram-template"]["filename"],
        machines=tuple(m for target in targets for m in target["machines"]),
        secure="secure-boot" in features,
    )
