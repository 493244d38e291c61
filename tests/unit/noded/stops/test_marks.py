import pytest

from pyganeti.base import errors
from pyganeti.noded.stops import marks

_ID = "0123456789abcdef"


@pytest.mark.parametrize(
    ("asked", "first", "last", "begun"),
    [
        (None, 1, 9, (0, "")),
        (None, None, 0, (0, "")),
        ("end", 1, 9, (9, "")),
        ("end", None, 0, (0, "")),
        (f"{_ID}:5", 1, 9, (5, "")),
        (f"{_ID}:9", 1, 9, (9, "")),
        (f"{_ID}:0", 1, 9, (0, "")),
        (f"{_ID}:5", 6, 9, (5, "")),
        (f"{_ID}:5", 7, 9, (5, "pruned")),
        (f"{_ID}:5", None, 9, (5, "pruned")),
        (f"{_ID}:9", None, 9, (9, "")),
        (f"{_ID}:10", 1, 9, (0, "another journal")),
        ("fedcba:5", 1, 9, (0, "another journal")),
        (":5", 1, 9, (0, "another journal")),
    ],
)
def test_a_mark_says_where_to_go_on_and_whether_that_follows(
    asked: str | None, first: int | None, last: int, begun: tuple[int, str]
) -> None:
    assert marks.begin(asked, _ID, first=first, last=last) == begun


def test_what_was_given_out_is_understood() -> None:
    assert marks.parse(str(marks.Mark(_ID, 12))) == marks.Mark(_ID, 12)
    assert marks.parse(str(marks.Mark("", 0))) == marks.Mark("", 0)


@pytest.mark.parametrize("text", ["", "5", "zz:5", "ab:-1", "ab:5:6", "ab:5\n", f"ab:{10**30}"])
def test_what_never_was_is_refused(text: str) -> None:
    with pytest.raises(errors.BadInput, match="no mark"):
        marks.parse(text)
