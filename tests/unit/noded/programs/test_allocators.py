"""Instance allocators."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded.programs import allocators

Write = Callable[[Path, str], Path]


async def test_one_reads_the_state_and_its_stdout_is_the_answer(
    layout: paths.Paths, write: Write
) -> None:
    place = allocators.places(layout)[1]
    write(place / "mine", 'echo warning >&2; cat "$1"; shift; echo " $*"')
    said = await allocators.run(layout, "mine", '{"a": "é"}', {"ignore": None, "mode": "x y"})
    assert said == '{"a": "é"} --ignore --mode=x y\n'
    assert list(layout.run_dir.iterdir()) == []


async def test_one_that_fails_is_told_with_both_outputs(layout: paths.Paths, write: Write) -> None:
    write(allocators.places(layout)[0] / "mine", "echo out; echo err >&2; exit 5")
    with pytest.raises(errors.Unavailable, match=r"'mine' failed: .*code 5, output 'out\nerr\n'"):
        await allocators.run(layout, "mine", "{}", {})
    assert list(layout.run_dir.iterdir()) == []


@pytest.mark.parametrize("name", ["nosuch", "../mine", "/bin/true", ""])
async def test_another_name_is_refused(layout: paths.Paths, name: str) -> None:
    with pytest.raises(errors.BadInput, match="not found in the search path"):
        await allocators.run(layout, name, "{}", {})
