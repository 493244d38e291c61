"""The decisions are numbered one after the other, in their file names and in their titles."""

import re
from pathlib import Path

_DECISIONS = Path(__file__).parents[2] / "docs/decisions"


def test_decisions_are_numbered_without_gaps_and_twins() -> None:
    files = sorted(_DECISIONS.iterdir())
    assert [path.name[:5] for path in files] == [f"{n:04}-" for n in range(1, len(files) + 1)]


def test_a_decisions_title_has_its_number() -> None:
    for number, path in enumerate(sorted(_DECISIONS.iterdir()), 1):
        title = path.read_text().splitlines()[0]
        assert re.match(rf"# {number}\. \S", title), path
