import time
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded import powercycle

_PATIENCE = 10.0


def _wait(trigger: Path, content: bytes) -> None:
    deadline = time.monotonic() + _PATIENCE
    while trigger.read_bytes() != content:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def trigger(tmp_path: Path) -> Path:
    trigger = tmp_path / "trigger"
    trigger.touch()
    return trigger


def test_the_order_is_given_after_a_while_whatever_holds_the_loop(trigger: Path) -> None:
    power = powercycle.Powercycle(trigger)
    power.schedule(0.05)  # no loop runs here at all
    assert trigger.read_bytes() == b""
    _wait(trigger, b"b")
    power.close()


def test_asking_twice_is_asking_once(trigger: Path) -> None:
    power = powercycle.Powercycle(trigger)
    power.schedule(0.05)
    power.schedule(0.05)
    _wait(trigger, b"b")
    power.schedule(0.01)  # the machine that is still there after all is told again
    _wait(trigger, b"bb")
    power.close()


def test_who_ends_first_reboots_nobody(trigger: Path) -> None:
    power = powercycle.Powercycle(trigger)
    power.schedule(0.1)
    power.close()
    time.sleep(0.2)
    assert trigger.read_bytes() == b""
    with pytest.raises(errors.Unavailable, match="to reboot this node by"):
        power.schedule(0.1)


def test_without_a_trigger_there_is_no_reboot(tmp_path: Path) -> None:
    power = powercycle.Powercycle(tmp_path / "nowhere")
    with pytest.raises(errors.Unavailable, match="nowhere to reboot this node by"):
        power.schedule()
    power.close()
