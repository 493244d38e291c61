"""What is remembered of jobs agrees with what was told, in bounded room."""

from hypothesis import given
from hypothesis import strategies as st

from pyganeti.masterd.backing.etcd import remembered

NUMBER = st.integers(1, 6)
ACTS = st.one_of(
    st.tuples(st.just("put"), NUMBER, st.integers(0, 60)),
    st.tuples(st.just("forget"), NUMBER, st.just(0)),
    st.tuples(st.just("count"), NUMBER, st.integers(0, 40)),
)


@given(st.lists(ACTS, max_size=40))
def test_what_is_there_is_known_and_the_newest_values_are_kept(
    acts: list[tuple[str, int, int]],
) -> None:
    jobs = remembered.Remembered(room=100)
    there: dict[int, tuple[bytes, int]] = {}
    for revision, (act, number, size) in enumerate(acts, 1):
        if act == "put":
            jobs.put(number, b"x" * size, revision)
            there[number] = (b"x" * size, revision)
        elif act == "forget":
            jobs.forget(number)
            there.pop(number, None)
        else:  # everything but one was found, at a moment that has passed
            found = set(there) - {number}
            jobs.count(found, size)
            if number in there and there[number][1] <= size:
                del there[number]
        assert jobs.there == set(there)
        kept = {n: value for n in range(1, 7) if (value := jobs.value(n)) is not None}
        assert all(there[n][0] == value for n, value in kept.items())
        assert sum(map(len, kept.values())) <= 100
        assert act != "put" or number in kept


def test_what_is_hidden_is_not_there_until_it_is_shown() -> None:
    jobs = remembered.Remembered()
    jobs.put(1, b"a", 1)
    jobs.put(2, b"b", 2)
    hidden = jobs.hide({1, 7})
    assert (hidden, jobs.there) == ({1}, {2})
    jobs.show(hidden)
    assert jobs.there == {1, 2}
    assert jobs.value(1) == b"a"
