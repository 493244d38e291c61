import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.wire import epochs

_NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)
_EPOCHS = st.builds(epochs.Epoch, st.integers(1, 2**53 - 1), _NAMES)


@given(_EPOCHS)
def test_an_epoch_comes_back_from_header_and_file(epoch: epochs.Epoch) -> None:
    assert epochs.from_header(str(epoch)) == epoch
    assert epochs.decode(epochs.encode(epoch)) == epoch


def test_a_later_number_is_greater_and_of_one_number_the_later_name() -> None:
    mixed = [epochs.of(2, "n2"), epochs.of(10, "n1"), epochs.of(1, "n9"), epochs.of(2, "n1")]
    assert [str(epoch) for epoch in sorted(mixed)] == ["1 n9", "2 n1", "2 n2", "10 n1"]


@pytest.mark.parametrize(
    "text", ["", "7", "7 ", " n1", "-1 n1", "0 n1", "x n1", "\u0667 n1", "7 n1 n2", f"{10**30} n1"]
)
def test_what_is_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(errors.BadInput):
        epochs.from_header(text)


@given(st.binary(max_size=200))
def test_garbage_in_the_file_is_damage_and_nothing_else(content: bytes) -> None:
    with pytest.raises(errors.Damaged):
        epochs.decode(content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"version":2,"epoch":1,"master":"n1"}',
        b'{"version":1,"epoch":true,"master":"n1"}',
        b'{"version":1,"epoch":0,"master":"n1"}',
        b'{"version":1,"epoch":1,"master":""}',
        b"[" * 100_000,
    ],
)
def test_what_only_looks_like_it_is_damage(content: bytes) -> None:
    with pytest.raises(errors.Damaged):
        epochs.decode(content)
