from lab import examples
from pyganeti.kvmd.journal import notes, rows


def _note(number: int, status: str = "") -> rows.Note:
    watched = examples.watched(examples.a_stop(number, started=1.0, recorded=9.0), status=status)
    return rows.Note(rows.Subject.WATCHED, watched.key, watched)


def test_of_one_thing_the_last_change_counts_and_the_first_of_all_wakes() -> None:
    woken: list[int] = []
    kept = notes.Notes(lambda: woken.append(len(woken)))
    assert kept.put(_note(1, "running"))
    assert kept.put(_note(2))
    assert kept.put(_note(1, "paused"))
    assert (len(kept), len(woken)) == (2, 1)
    assert kept.take(10) == [_note(1, "paused"), _note(2)]
    assert kept.put(_note(3))
    assert (len(kept), len(woken)) == (1, 2)


def test_what_is_given_back_does_not_undo_what_came_meanwhile() -> None:
    kept = notes.Notes(lambda: None)
    for number in (1, 2):
        kept.put(_note(number, "old"))
    taken = kept.take(2)
    kept.put(_note(2, "new"))
    kept.give_back(taken)
    assert kept.take(1) == [_note(2, "new")]
    assert kept.take(9) == [_note(1, "old")]
    assert kept.take(9) == []


def test_what_is_taken_back_is_not_written() -> None:
    kept = notes.Notes(lambda: None)
    one = _note(1)
    kept.put(one)
    kept.drop(rows.Subject.MARKER, one.key)
    assert len(kept) == 1
    kept.drop(one.subject, one.key)
    kept.drop(one.subject, one.key)
    assert len(kept) == 0
