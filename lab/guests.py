"""Guests of 512 bytes: boot sectors for QEMU's ``-M pc`` that do one thing, or what they are told.

Tests need guests that end in every possible way, at a moment that the test chooses, without an
operating system's image. A sector is assembled here from a handful of 16-bit instructions, so
that nothing but Python is needed. It boots in less than a tenth of a second under emulation.

A guest wakes at every tick of the BIOS clock, 18.2 times a second, looks at the power button if
it is polite, then at the serial port, where it takes a `Command`, echoes its letter, and obeys.
A letter sent before the guest has booted waits for it. Any other letter is echoed too, and so tells
that the guest is up. What each command makes QEMU 7.2 emit, under each ``-action``, is written down
as a table in tests/integration/lab/test_guests.py.

A reset guest boots again. SeaBIOS then resets the machine by itself, by all ways it knows, so that
one reset is seen as two RESET events, or on a busy host as three.

The ports are those of QEMU's PIIX4 after SeaBIOS has set it up, measured with QEMU 7.2.
"""

import enum
import struct
from typing import Final

SECTOR: Final = 512
TICKS_PER_SECOND: Final = 18.2

_LOADED_AT: Final = 0x7C00
_SIGNATURE: Final = b"\x55\xaa"
_DEADLINE: Final = 0x0500  # first free byte after the BIOS's own data
_COUNTED: Final = 0x0504
_TICK_COUNT: Final = 0x046C  # the BIOS counts clock ticks here

_PM1_STATUS: Final = 0x600
_PM1_ENABLE: Final = 0x602
_PM1_CONTROL: Final = 0x604
_POWER_BUTTON: Final = 1 << 8
_SLEEP: Final = 1 << 13
_SLEEP_TYPE: Final = 10  # QEMU's hw/acpi/core.c: type 0 is S5, 1 is S3, 2 is S4
_RESET_CONTROL: Final = 0xCF9
_KEYBOARD: Final = 0x64
_PVPANIC: Final = 0x505
_DEBUG_EXIT: Final = 0x501
_IB700_START: Final = 0x443
_EJECT_BUS: Final = 0xAE10  # QEMU's hw/acpi/pcihp.c: which bus the two below are about
_EJECT_WANTED: Final = 0xAE04  # one bit a slot: the host wants the device back
_EJECT: Final = 0xAE08  # one bit a slot: here it is
_SERIAL: Final = 0x3F8
_SERIAL_STATUS: Final = 0x3FD


class Command(enum.StrEnum):
    """What a guest can be told over its serial port, one letter each."""

    POWER_OFF = "P"
    """Enter S5."""
    HIBERNATE = "H"
    """Enter S4."""
    SUSPEND = "S"
    """Enter S3. When woken (``system_wakeup``) the guest resets, having set no waking vector."""
    RESET = "R"
    """Reset through the chipset, port 0xCF9."""
    RESET_BY_KEYBOARD = "K"
    """Reset through the keyboard controller, port 0x64."""
    TRIPLE_FAULT = "T"
    """Take an interrupt without an interrupt table."""
    PANIC = "X"
    """Report a panic (needs the pvpanic device)."""
    CRASH_LOAD = "C"
    """Report that a crash kernel has been loaded (needs the pvpanic device)."""
    FLOOD = "F"
    """Report crash loads for ever, as fast as it can: a hostile guest (needs pvpanic)."""
    EXIT = "E"
    """Make QEMU exit with status `DEBUG_EXIT_STATUS` (needs the isa-debug-exit device)."""
    WATCHDOG = "W"
    """Let the watchdog expire at once (needs the ib700 device)."""
    TOUCH_MEMORY = "M"
    """Write to every page of memory, so that the host has to provide it, for ever."""
    COUNT = "N"
    """Count how often it was told to, and write the number, a byte, behind the echo. The number is
    in the guest's memory: one that boots anew begins with 1."""
    IDLE = "Z"
    """Sleep for ever with interrupts off: deaf, and free of cost for the host."""


DEBUG_EXIT_STATUS: Final = 7
"""The exit status of `Command.EXIT`: QEMU makes it of the guest's 3 as ``(3 << 1) | 1``."""


def polite() -> bytes:
    """Return a guest that powers off when the power button is pressed, or when told to."""
    return sector(obeys_button=True)


def generous() -> bytes:
    """Return a polite guest that gives up any PCI device as soon as the host wants it back."""
    return sector(obeys_button=True, ejects=True)


def stubborn() -> bytes:
    """Return a guest that never looks at the power button, but does what it is told."""
    return sector(obeys_button=False)


def at_once(command: Command) -> bytes:
    """Return a guest that does one thing as soon as it has booted."""
    return sector(obeys_button=False, first=command)


def later(command: Command, seconds: float) -> bytes:
    """Return a stubborn guest that does one thing by itself after a time, unless told before."""
    return sector(obeys_button=False, first=command, after=seconds)


def idle() -> bytes:
    """Return a guest that sleeps for ever and costs the host nothing."""
    return at_once(Command.IDLE)


def sector(
    *,
    obeys_button: bool,
    ejects: bool = False,
    first: Command | None = None,
    after: float = 0.0,
) -> bytes:
    """Assemble a guest's boot sector.

    ``first`` is what it does by itself, ``after`` so many seconds of its own clock (to one tick,
    55 ms), or with 0 at once.
    """
    code = _Code()
    code.set_up_segments()
    code.forget_number()
    if obeys_button:
        code.write_word(_PM1_ENABLE, _POWER_BUTTON)
    if first is not None and after > 0:
        code.set_deadline(round(after * TICKS_PER_SECOND))
    elif first is not None:
        code.jump(first.name)

    code.label("wait")
    code.enable_interrupts()
    code.halt()
    if obeys_button:
        code.read_word(_PM1_STATUS)
        code.jump_if_any(_POWER_BUTTON, Command.POWER_OFF.name)
    if ejects:
        code.eject_what_is_wanted()
    if first is not None and after > 0:
        code.jump_if_due(first.name)
    code.read_byte(_SERIAL_STATUS)
    code.jump_if_none(0x01, "wait")  # no byte has come
    code.read_byte(_SERIAL)
    code.write_same_byte()
    for command in Command:
        code.jump_if_letter(command.value, command.name)
    code.jump("wait")

    _do_commands(code)
    return code.assemble()


def _do_commands(code: "_Code") -> None:
    for command, sleep_type in (
        (Command.POWER_OFF, 0),
        (Command.SUSPEND, 1),
        (Command.HIBERNATE, 2),
    ):
        code.label(command.name)
        code.write_word(_PM1_CONTROL, _SLEEP | sleep_type << _SLEEP_TYPE)
        code.jump("wait")
    for command, port, value in (
        (Command.RESET, _RESET_CONTROL, 0x06),
        (Command.RESET_BY_KEYBOARD, _KEYBOARD, 0xFE),
        (Command.PANIC, _PVPANIC, 0x01),
        (Command.CRASH_LOAD, _PVPANIC, 0x02),
        (Command.EXIT, _DEBUG_EXIT, DEBUG_EXIT_STATUS >> 1),
        (Command.WATCHDOG, _IB700_START, 0x0F),  # QEMU's hw/watchdog/wdt_ib700.c: 0 seconds
    ):
        code.label(command.name)
        code.write_byte(port, value)
        code.jump("wait")
    code.label(Command.COUNT.name)
    code.write_next_number(_SERIAL)
    code.jump("wait")
    code.label(Command.FLOOD.name)
    code.write_byte(_PVPANIC, 0x02)
    code.jump(Command.FLOOD.name)
    code.label(Command.TRIPLE_FAULT.name)
    code.forget_interrupt_table()
    code.label(Command.TOUCH_MEMORY.name)
    code.touch_memory()
    code.label(Command.IDLE.name)
    code.disable_interrupts()
    code.halt()
    code.jump(Command.IDLE.name)


class _Code:
    """Instructions for a 386 in real mode, in the order in which they are called for."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []
        self._words: list[tuple[int, str]] = []

    def assemble(self) -> bytes:
        """Return the sector with every jump resolved; ValueError if it does not fit."""
        for where, label in self._jumps:
            struct.pack_into("<h", self._bytes, where, self._labels[label] - (where + 2))
        for where, label in self._words:
            struct.pack_into("<H", self._bytes, where, _LOADED_AT + self._labels[label])
        if len(self._bytes) > SECTOR - len(_SIGNATURE):
            raise ValueError(f"{len(self._bytes)} bytes of code do not fit into a boot sector")
        return bytes(self._bytes).ljust(SECTOR - len(_SIGNATURE), b"\x00") + _SIGNATURE

    def label(self, name: str) -> None:
        self._labels[name] = len(self._bytes)

    def _emit(self, code: str, *numbers: bytes) -> None:
        self._bytes += bytes.fromhex(code) + b"".join(numbers)

    def _emit_jump(self, opcode: str, label: str) -> None:
        self._emit(opcode)
        self._jumps.append((len(self._bytes), label))
        self._emit("0000")

    def jump(self, label: str) -> None:
        self._emit_jump("e9", label)  # jmp label

    def jump_if_any(self, mask: int, label: str) -> None:
        """Jump if any bit of the mask is set in the word read last."""
        self._emit("a9", _word(mask))  # test ax, mask
        self._emit_jump("0f85", label)  # jnz label

    def jump_if_none(self, mask: int, label: str) -> None:
        """Jump if no bit of the mask is set in the byte read last."""
        self._emit("a8", _byte(mask))  # test al, mask
        self._emit_jump("0f84", label)  # jz label

    def jump_if_letter(self, letter: str, label: str) -> None:
        self._emit("3c", letter.encode())  # cmp al, letter
        self._emit_jump("0f84", label)  # je label

    def jump_if_due(self, label: str) -> None:
        """Jump, once, if the deadline has come."""
        self._emit("66a1", _word(_TICK_COUNT))  # mov eax, [ticks]
        self._emit("663b06", _word(_DEADLINE))  # cmp eax, [deadline]
        self._emit_jump("0f82", "not due")  # jb
        self._emit("66c706", _word(_DEADLINE), b"\xff" * 4)  # mov dword [deadline], never
        self.jump(label)
        self.label("not due")

    def set_deadline(self, ticks: int) -> None:
        self._emit("66a1", _word(_TICK_COUNT))  # mov eax, [ticks]
        self._emit("6605", struct.pack("<I", ticks))  # add eax, ticks
        self._emit("66a3", _word(_DEADLINE))  # mov [deadline], eax

    def set_up_segments(self) -> None:
        self._emit("fa fc")  # cli; cld
        self._emit("31c0 8ed8 8ec0 8ed0")  # xor ax, ax; mov ds, ax; mov es, ax; mov ss, ax
        self._emit("bc", _word(_LOADED_AT))  # mov sp, below the sector

    def write_byte(self, port: int, value: int) -> None:
        self._emit("ba", _word(port))  # mov dx, port
        self._emit("b0", _byte(value))  # mov al, value
        self._emit("ee")  # out dx, al

    def write_same_byte(self) -> None:
        """Write the byte read last to the port read last."""
        self._emit("ee")  # out dx, al

    def forget_number(self) -> None:
        self._emit("c606", _word(_COUNTED), b"\0")  # mov byte [counted], 0

    def write_next_number(self, port: int) -> None:
        self._emit("fe06", _word(_COUNTED))  # inc byte [counted]
        self._emit("a0", _word(_COUNTED))  # mov al, [counted]
        self._emit("ba", _word(port))  # mov dx, port
        self._emit("ee")  # out dx, al

    def write_word(self, port: int, value: int) -> None:
        self._emit("ba", _word(port))  # mov dx, port
        self._emit("b8", _word(value))  # mov ax, value
        self._emit("ef")  # out dx, ax

    def read_byte(self, port: int) -> None:
        self._emit("ba", _word(port))  # mov dx, port
        self._emit("ec")  # in al, dx

    def read_word(self, port: int) -> None:
        self._emit("ba", _word(port))  # mov dx, port
        self._emit("ed")  # in ax, dx

    def eject_what_is_wanted(self) -> None:
        """Give up what the host wants back from the first PCI bus, as ACPI's methods do."""
        self._emit("ba", _word(_EJECT_BUS))  # mov dx, port
        self._emit("6631c0 66ef")  # xor eax, eax; out dx, eax
        self._emit("ba", _word(_EJECT_WANTED), bytes.fromhex("66ed"))  # mov dx, port; in eax, dx
        self._emit("6685c0")  # test eax, eax
        self._emit_jump("0f84", "nothing wanted")  # jz nothing wanted
        self._emit("ba", _word(_EJECT), bytes.fromhex("66ef"))  # mov dx, port; out dx, eax
        self.label("nothing wanted")

    def enable_interrupts(self) -> None:
        self._emit("fb")  # sti

    def disable_interrupts(self) -> None:
        self._emit("fa")  # cli

    def halt(self) -> None:
        self._emit("f4")  # hlt

    def forget_interrupt_table(self) -> None:
        """Load an empty interrupt table, then take an interrupt."""
        self._emit("0f011e")  # lidt [table]
        self._words.append((len(self._bytes), "empty table"))
        self._emit("0000")
        self._emit("cc")  # int3
        self.label("empty table")
        self._emit("0000 00000000")  # limit 0, base 0

    def touch_memory(self) -> None:
        """Give fs a limit of 4 GiB by a short visit to protected mode; write to each page."""
        self._emit("fa")  # cli
        self._emit("0f0116")  # lgdt [table]
        self._words.append((len(self._bytes), "segment table"))
        self._emit("0000")
        self._emit("0f20c0 0c01 0f22c0")  # mov eax, cr0; or al, 1; mov cr0, eax
        self._emit("bb0800 8ee3")  # mov bx, 8; mov fs, bx
        self._emit("24fe 0f22c0")  # and al, 0xfe; mov cr0, eax
        self.label("from the start")
        self._emit("66bf00001000")  # mov edi, 1 MiB
        self.label("next page")
        self._emit("64 67 66 893f")  # mov [fs:edi], edi
        self._emit("6681c700100000")  # add edi, 4096
        self._emit("6681ff00000040")  # cmp edi, 1 GiB: far above any laboratory guest
        self._emit_jump("0f82", "next page")  # jb next page
        self.jump("from the start")
        self.label("segment table")
        self._emit("0f00")  # the first entry is never used: the table's own address stands there
        self._words.append((len(self._bytes), "segment table"))
        self._emit("0000 0000 0000")
        self._emit("ffff 0000 0092 cf00")  # data, base 0, limit 4 GiB


def _byte(value: int) -> bytes:
    return struct.pack("<B", value)


def _word(value: int) -> bytes:
    return struct.pack("<H", value)
