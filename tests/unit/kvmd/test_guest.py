from pyganeti.kvmd import guest as guests
from pyganeti.model import evidence


def guest(**what: object) -> guests.Guest:
    return guests.Guest(
        name="web1",
        key="boot-1-2-3-4",
        boot_id="boot",
        socket="web1.kvmd",
        pid=1,
        ticks=2,
        started=3.0,
        since=4.0,
    )


def tell(one: guests.Guest, *events: str) -> list[str]:
    """Tell it of events, "MIGRATION active" say, and return the names of those that count."""
    for at, event in enumerate(events):
        name, _, detail = event.partition(" ")
        one.note(evidence.QmpEvent(at=float(at), name=name, detail=detail))
    return [found.name for found in one.events]


OUT = ("MIGRATION setup", "MIGRATION active", "STOP", "MIGRATION completed")
IN = ("MIGRATION setup", "MIGRATION active", "RESUME", "MIGRATION completed")


def test_guest_that_leaves_has_migrated() -> None:
    one = guest()
    one.take_status("running")
    assert "MIGRATION" in tell(one, *OUT)


def test_guest_that_arrives_has_not() -> None:
    one = guest()
    one.take_status("inmigrate")
    assert tell(one, *IN) == []
    assert not one.incoming


def test_guest_that_arrives_paused_has_not() -> None:
    one = guest()
    one.take_status("inmigrate")
    assert tell(one, "MIGRATION setup", "MIGRATION active", "MIGRATION completed") == []


def test_guest_that_arrived_and_left_again_has() -> None:
    one = guest()
    one.take_status("inmigrate")
    assert "MIGRATION" in tell(one, *IN, *OUT)


def test_guest_whose_arrival_was_not_reported_and_that_left_has() -> None:
    one = guest()
    one.take_status("inmigrate")
    assert "MIGRATION" in tell(one, "RESUME", *OUT)
