import pytest

from pyganeti.kvmd import identity

BOOT = "0f2b6e2e-4df1-4d53-9a3e-5f4c36b3a1ff"


def test_key_differs_for_whatever_makes_a_qemu_another_one() -> None:
    one = (BOOT, 4001, 1234, 77, 1_700_000_000_000_000_001)
    others = [
        ("1" + BOOT[1:], *one[1:]),
        (BOOT, 4002, *one[2:]),
        (BOOT, 4001, 1235, *one[3:]),
        (BOOT, 4001, 1234, 78, one[4]),
        (*one[:4], one[4] + 1),
        (BOOT, None, None, *one[3:]),
    ]
    assert len({identity.key(*parts) for parts in (one, *others)}) == 1 + len(others)


def test_socket_is_the_key_s_own_by_inode_and_time_both() -> None:
    key = identity.key(BOOT, None, None, 0x77, 0x1234)
    assert identity.is_of_socket(key, 0x77, 0x1234)
    assert not identity.is_of_socket(key, 0x77, 0x1235)
    assert not identity.is_of_socket(key, 0x7, 0x1234)
    assert not identity.is_of_socket(key, 0x177, 0x1234)


@pytest.mark.parametrize(
    "arguments",
    [
        (b"-no-reboot",),
        (b"--no-reboot",),
        (b"-action", b"reboot=shutdown,shutdown=pause"),
        (b"-action", b"shutdown=pause,watchdog=shutdown"),
        (b"-watchdog-action", b"shutdown"),
    ],
)
def test_qemu_that_ends_on_a_reset_or_its_watchdog_may_be_held_by_that(
    arguments: tuple[bytes, ...],
) -> None:
    assert identity.ends_unlike_a_power_off((b"qemu-system-x86_64", *arguments, b"-m", b"16"))


@pytest.mark.parametrize(
    "arguments", [(), (b"-action", b"shutdown=pause"), (b"-name", b"shutdown"), (b"-watchdog",)]
)
def test_other_qemus_are_held_by_a_power_off_only(arguments: tuple[bytes, ...]) -> None:
    assert identity.ends_unlike_a_power_off((b"qemu-system-x86_64", *arguments)) is False


def test_hidden_command_line_tells_nothing() -> None:
    assert identity.ends_unlike_a_power_off(()) is None


@pytest.mark.parametrize(
    ("arguments", "is_held"),
    [
        ((), False),
        ((b"qemu",), False),
        ((b"qemu", b"-action", b"shutdown=pause"), True),
        ((b"qemu", b"-action", b"reboot=shutdown,shutdown=pause"), True),
        ((b"qemu", b"-action", b"panic=pause", b"-action", b"shutdown=pause"), False),
        ((b"qemu", b"-action", b"panic=pause"), False),
    ],
)
def test_who_wants_to_look_at_a_panicked_guest_says_so(
    arguments: tuple[bytes, ...],
    is_held: bool,  # noqa: FBT001 - an example
) -> None:
    assert identity.is_held_for_us(arguments) == is_held
