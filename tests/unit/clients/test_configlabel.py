"""The label of the configuration is right at every moment in which a writer may be killed."""

from pathlib import Path

import pytest

from pyganeti.base import paths
from pyganeti.clients import configlabel
from pyganeti.wire import standings


class Killed(BaseException):
    """As by kill -9."""


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1")
    made.state_dir.mkdir(parents=True)
    return made


def put(layout: paths.Paths, content: bytes, epoch: int) -> None:
    def replace() -> None:
        layout.config_data.write_bytes(content)

    configlabel.replacing(layout, content, epoch, replace)


def of_present(layout: paths.Paths) -> int:
    return configlabel.read(layout).of(standings.digest_of(layout.config_data.read_bytes()))


def test_each_content_is_of_the_epoch_that_it_came_with(layout: paths.Paths) -> None:
    for content, epoch in ((b"a", 1), (b"b", 1), (b"c", 4), (b"d", 0), (b"e", 5)):
        put(layout, content, epoch)
        assert of_present(layout) == epoch
    layout.config_epoch_file.write_bytes(b"\0\0")
    assert of_present(layout) == 0


def test_it_is_right_whenever_the_writer_is_killed(
    layout: paths.Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(layout, b"old", 3)

    def killed() -> None:
        raise Killed

    with pytest.raises(Killed):
        configlabel.replacing(layout, b"new", 4, killed)
    assert (layout.config_data.read_bytes(), of_present(layout)) == (b"old", 3)
    written = configlabel.write

    def killed_after(where: paths.Paths, label: standings.Label) -> None:
        if not label.coming:
            raise Killed
        written(where, label)

    monkeypatch.setattr(configlabel, "write", killed_after)
    with pytest.raises(Killed):
        put(layout, b"new", 4)
    assert (layout.config_data.read_bytes(), of_present(layout)) == (b"new", 4)
    monkeypatch.undo()
    with pytest.raises(Killed):
        configlabel.replacing(layout, b"newer", 4, killed)
    assert (layout.config_data.read_bytes(), of_present(layout)) == (b"new", 4)
    with pytest.raises(Killed):
        configlabel.replacing(layout, b"newest", 5, killed)
    assert (layout.config_data.read_bytes(), of_present(layout)) == (b"new", 4)
