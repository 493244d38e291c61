import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import happenings
from pyganeti.watcher import events
from pyganeti.watcher.telling import message


def test_an_event_is_told_as_it_is_documented() -> None:
    event = happenings.an_event()
    assert json.loads(message.as_json(event, "cluster.example.com")) == {
        "version": 1,
        "id": message.identity(event),
        "event": "restarted",
        "cluster": "cluster.example.com",
        "instance": "web1.example.com",
        "node": "node1.example.com",
        "at": 1_700_000_001.5,
        "stopped": 1_700_000_000.25,
        "cause": "killed",
        "key": "qemu-1",
        "attempt": 1,
        "job": 17,
        "seconds": 1.25,
        "text": "web1.example.com was restarted on node1.example.com after killed, try 1,"
        " 1.25s after its stop (job 17): started again",
    }


@pytest.mark.parametrize("kind", events.Kind)
def test_each_event_is_told_in_words_that_name_it(kind: events.Kind) -> None:
    event = happenings.an_event(kind=kind, attempt=0, job=None, seconds=None, text="")
    told = message.as_dict(event, "")["text"]
    assert "web1.example.com" in told
    assert "node1.example.com" in told
    assert not told.endswith((":", " ", ","))
    others = [message.sentence(happenings.an_event(kind=one, text="")) for one in events.Kind]
    assert len(set(others)) == len(events.Kind)


def test_words_say_why() -> None:
    event = happenings.an_event(
        kind=events.Kind.GAVE_UP, attempt=5, job=9, seconds=None, text="5 times within 3600 s"
    )
    assert message.sentence(event) == (
        "restarting web1.example.com on node1.example.com is given up after killed, try 5 (job 9):"
        " 5 times within 3600 s"
    )


def test_the_same_told_again_has_the_same_id_and_nothing_else_has() -> None:
    one = happenings.an_event()
    again = happenings.an_event(at=1_700_000_009.0, text="in other words", seconds=9.0)
    others = [
        happenings.an_event(kind=events.Kind.FAILED),
        happenings.an_event(attempt=2),
        happenings.an_event(key="qemu-2"),
        happenings.an_event(instance="web2"),
        happenings.an_event(job=18),
    ]
    ids = [message.identity(event) for event in (one, *others)]
    assert message.identity(again) == ids[0]
    assert len(set(ids)) == len(ids)


def test_without_a_record_the_time_tells_stops_apart() -> None:
    one = happenings.an_event(key="")
    other = happenings.an_event(key="", stopped=1_700_000_500.0)
    forgiven = [
        happenings.an_event(kind=events.Kind.FORGIVEN, key="", stopped=None, at=at)
        for at in (1.0, 2.0)
    ]
    ids = {message.identity(event) for event in (one, other, *forgiven)}
    assert len(ids) == 4


@given(st.text(st.characters(codec=None, exclude_characters="")), st.text())
def test_whatever_a_name_is_made_of_it_can_be_told(name: str, text: str) -> None:
    event = happenings.an_event(instance=name, text=text)
    assert json.loads(message.as_json(event, name))["event"] == "restarted"
    for key, value in message.as_environment(event, name).items():
        assert key.startswith("GANETI_")
        assert "\0" not in value
        value.encode()


def test_what_is_null_is_empty_in_the_environment() -> None:
    found = message.as_environment(happenings.an_event(job=None, stopped=None), "")
    assert (found["GANETI_JOB"], found["GANETI_STOPPED"]) == ("", "")
    assert found["GANETI_CAUSE"] == "killed"
