import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.kvmd.recording import marker


@pytest.fixture
def dirfd(tmp_path: Path) -> Iterator[int]:
    found = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield found
    os.close(found)


@pytest.mark.parametrize("name", ["web1", "名前", "\udcff", "a b", "-x", ".hidden"])
def test_a_marker_is_an_empty_file_for_its_owner(tmp_path: Path, dirfd: int, name: str) -> None:
    assert marker.make(dirfd, name)
    found = (tmp_path / f"{name}.shutdown").stat()
    assert (found.st_size, found.st_mode & 0o777) == (0, 0o600)
    assert not marker.make(dirfd, name)
    assert marker.remove(dirfd, name)
    assert not marker.remove(dirfd, name)


def test_what_lies_there_is_not_touched(tmp_path: Path, dirfd: int) -> None:
    (tmp_path / "web1.shutdown").write_text("kept")
    assert not marker.make(dirfd, "web1")
    assert (tmp_path / "web1.shutdown").read_text() == "kept"


def test_a_link_is_not_followed(tmp_path: Path, dirfd: int) -> None:
    (tmp_path / "web1.shutdown").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.Denied):
        marker.make(dirfd, "web1")
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_in_the_way_is_refused(tmp_path: Path, dirfd: int) -> None:
    (tmp_path / "web1.shutdown").mkdir()
    with pytest.raises(errors.Denied):
        marker.make(dirfd, "web1")
    with pytest.raises(errors.Denied):
        marker.remove(dirfd, "web1")
