from pathlib import Path

import pytest

from pyganeti.base import paths, pidfile
from pyganeti.kvmd import settings


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    return paths.Paths.from_environment({"GANETI_ROOTDIR": str(tmp_path)})


def test_without_a_directory_it_is_the_node_s_own(layout: paths.Paths) -> None:
    for chosen in (
        settings.locate(layout, None, None),
        settings.locate(layout, layout.ctrl_dir, None),
    ):
        assert chosen.is_default_place
        assert chosen.ctrl_dir == layout.ctrl_dir
        assert chosen.journal == layout.kvmd_journal
        assert chosen.pid_dir == layout.kvm_pid_dir
        assert chosen.hooks_dir == layout.stop_hooks_dir


def test_other_directories_share_no_file_with_the_node_s_own_nor_with_each_other(
    layout: paths.Paths, tmp_path: Path
) -> None:
    chosen = [settings.locate(layout, one, None) for one in (None, tmp_path / "a", tmp_path / "b")]
    for files in zip(*((c.journal, c.pid_file, c.log_file) for c in chosen), strict=True):
        assert len(set(files)) == len(chosen)
    assert not any(c.is_default_place for c in chosen[1:])
    assert chosen[1].hooks_dir is None


def test_directory_has_the_same_files_from_wherever_it_is_named(
    layout: paths.Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = settings.locate(layout, Path("a/../b"), None)
    assert relative == settings.locate(layout, tmp_path / "b", None)
    assert settings.locate(layout, None, Path("j")).journal == tmp_path / "j"


def test_pid_files_are_looked_for_beside_a_directory_laid_out_as_ganeti_s(
    layout: paths.Paths, tmp_path: Path
) -> None:
    assert settings.locate(layout, tmp_path / "ctrl", None).pid_dir == tmp_path / "pid"
    assert settings.locate(layout, tmp_path / "sockets", None).pid_dir is None


def test_journal_is_held_while_a_daemon_has_its_lock(tmp_path: Path) -> None:
    lock = settings.lock_of(tmp_path / "journal.sqlite")
    assert not settings.is_held(lock)
    held = pidfile.PidFile(lock)
    held.acquire()
    assert settings.is_held(lock)
    held.release()
    assert not settings.is_held(lock)
