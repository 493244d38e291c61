import pytest

from pyganeti.kvmd import ledger
from pyganeti.model import evidence


def _after(*told: str) -> list[str]:
    """Tell the ledger of events, "SHUTDOWN guest-reset" say; return what still counts."""
    events: ledger.Events = ()
    for at, text in enumerate(told):
        name, _, detail = text.partition(" ")
        events = ledger.note(events, evidence.QmpEvent(float(at), name, detail))
    return [f"{event.name} {event.detail}".rstrip() for event in events]


@pytest.mark.parametrize(
    "event",
    [
        "SHUTDOWN guest-shutdown",
        "POWERDOWN",
        "STOP",
        "SUSPEND",
        "SUSPEND_DISK",
        "WATCHDOG reset",
        "GUEST_PANICKED pause",
        "GUEST_PANICKED run",
        "MIGRATION completed",
    ],
)
def test_event_that_bears_on_the_next_stop_counts_until_a_reset(event: str) -> None:
    assert _after(event) == [event]
    assert _after(event, "RESET guest-reset") == []


@pytest.mark.parametrize(
    "event",
    [
        "RESET guest-reset",
        "RESUME",
        "WAKEUP",
        "WATCHDOG none",
        "WATCHDOG inject-nmi",
        "GUEST_CRASHLOADED run",
        "MIGRATION setup",
        "MIGRATION active",
        "MIGRATION failed",
    ],
)
def test_event_that_bears_on_nothing_is_not_kept(event: str) -> None:
    assert _after(event) == []


@pytest.mark.parametrize(
    "event", ["SHUTDOWN guest-shutdown", "STOP", "GUEST_PANICKED pause", "WATCHDOG pause"]
)
def test_guest_that_runs_again_has_not_stopped_for_it(event: str) -> None:
    assert _after(event, "RESUME") == []


@pytest.mark.parametrize("event", ["POWERDOWN", "WATCHDOG shutdown"])
def test_pressed_power_button_outlives_a_snapshot(event: str) -> None:
    assert _after(event, "STOP", "RESUME") == [event]


def test_guest_that_woke_up_is_not_suspended() -> None:
    assert _after("SUSPEND", "WAKEUP") == []


def test_failed_migration_takes_the_completed_one_back() -> None:
    assert _after("MIGRATION completed", "MIGRATION failed") == []


def test_first_shutdown_counts_and_the_last_of_all_others() -> None:
    assert _after("SHUTDOWN guest-shutdown", "SHUTDOWN host-signal") == ["SHUTDOWN guest-shutdown"]
    assert _after("GUEST_PANICKED run", "GUEST_PANICKED pause") == ["GUEST_PANICKED pause"]


def test_panic_that_ends_the_guest_is_not_replaced_by_one_that_does_not() -> None:
    assert _after("GUEST_PANICKED pause", "GUEST_PANICKED run") == ["GUEST_PANICKED pause"]


@pytest.mark.parametrize("event", ["GUEST_PANICKED run", "POWERDOWN", "SUSPEND", "WATCHDOG none"])
def test_flood_of_one_event_takes_no_more_room_than_one(event: str) -> None:
    assert len(_after(*[event] * 1000)) <= 1


@pytest.mark.parametrize(
    "event", ["RESET guest-reset", "RESUME", "WAKEUP", "GUEST_CRASHLOADED run"]
)
def test_event_that_changes_nothing_gives_the_same_ledger_back(event: str) -> None:
    name, _, detail = event.partition(" ")
    events = () if name == "RESET" else (evidence.QmpEvent(0.0, "POWERDOWN"),)
    assert ledger.note(events, evidence.QmpEvent(1.0, name, detail)) is events
