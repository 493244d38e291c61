import stat
from pathlib import Path

import pytest

from pyganeti.base import errors, paths, ssconf


def test_what_is_written_is_read(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path)
    ssconf.write(layout, {"cluster_name": "c", "cluster_tags": "", "node_list": "a\nb\n"})
    assert ssconf.read(layout, "cluster_name") == "c\n"
    assert ssconf.read(layout, "cluster_tags") == ""
    assert ssconf.read(layout, "node_list") == "a\nb\n"
    assert ssconf.read(layout, "other") is None
    mode = layout.ssconf("cluster_name").stat().st_mode
    assert stat.S_IMODE(mode) == 0o444


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "A", "a\n", "-x"])
def test_a_wrong_name_writes_nothing_at_all(name: str, tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path)
    with pytest.raises(errors.BadInput, match="name of a setting"):
        ssconf.write(layout, {"good": "1", name: "2"})
    assert ssconf.read(layout, "good") is None


def test_a_value_that_is_too_long_writes_nothing_at_all(tmp_path: Path) -> None:
    layout = paths.Paths(tmp_path)
    with pytest.raises(errors.BadInput, match="more than"):
        ssconf.write(layout, {"good": "1", "long": "x" * 200_000})
    assert ssconf.read(layout, "good") is None
