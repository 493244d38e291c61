"""Files are where the administrator allows them, whatever paths, symlinks and races say."""

import contextlib
import os
import threading
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.noded.storage import filepaths


@pytest.fixture
def place(short_dir: Path) -> Path:
    place = short_dir / "disks"
    place.mkdir()
    return place


@pytest.fixture
def allowed(short_dir: Path, place: Path) -> filepaths.FilePaths:
    listing = short_dir / "file-storage-paths"
    listing.write_text(f"# comment\n\n  {place}/ \nrelative/path\n")
    return filepaths.FilePaths(listing)


def _where(allowed: filepaths.FilePaths, path: object, *, make: bool = False) -> str:
    with allowed.parent(str(path), make=make) as found:
        return str(Path(f"/proc/self/fd/{found.dirfd}").readlink() / found.name)


def test_a_file_below_a_listed_path_is_reached(allowed: filepaths.FilePaths, place: Path) -> None:
    (place / "inst").mkdir()
    assert _where(allowed, place / "disk") == str(place / "disk")
    assert _where(allowed, f"{place}//./inst/disk") == str(place / "inst/disk")


@pytest.mark.parametrize(
    "path", ["disk", "", "/", "{}/../x", "{}/a/../disk", "{}/disk\0", "{}/..", "../{}/x"]
)
def test_paths_that_are_not_plain_are_refused(
    allowed: filepaths.FilePaths, place: Path, path: str
) -> None:
    with pytest.raises(errors.Failure) as refused:
        _where(allowed, path.format(place))
    assert isinstance(refused.value, (errors.BadInput, errors.Denied))


@pytest.mark.parametrize("path", ["/tmp/x", "{}x/disk", "{}"])
def test_paths_that_are_not_listed_are_refused(
    allowed: filepaths.FilePaths, place: Path, path: str
) -> None:
    with pytest.raises(errors.Denied, match="not below any path"):
        _where(allowed, path.format(place))


@pytest.mark.parametrize("path", ["/etc/x", "/usr/local/lib64/x", "/boot/a/b", "/dev/x", "/root/x"])
def test_the_system_s_own_directories_are_refused_even_if_listed(
    short_dir: Path, path: str
) -> None:
    listing = short_dir / "listing"
    listing.write_text("/\n/etc\n/usr/local/lib64\n/boot\n/dev\n/root\n")
    with pytest.raises(errors.Denied, match="it is in"):
        _where(filepaths.FilePaths(listing), path)


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "relative\n"])
def test_without_a_list_nothing_is_allowed(short_dir: Path, text: str | None) -> None:
    listing = short_dir / "listing"
    if text is not None:
        listing.write_text(text)
    with pytest.raises(errors.Denied):
        _where(filepaths.FilePaths(listing), "/srv/x/y")
    with pytest.raises(errors.Denied):
        _where(filepaths.FilePaths(short_dir / "missing/listing"), "/srv/x/y")


def test_a_symlink_out_is_seen_through(
    allowed: filepaths.FilePaths, place: Path, short_dir: Path
) -> None:
    outside = short_dir / "outside/deep"
    outside.mkdir(parents=True)
    (place / "absolute").symlink_to(outside)
    (place / "relative").symlink_to("../outside/deep")
    (place / "etc").symlink_to("/etc")
    (place / "twice").symlink_to("absolute")
    for name in ("absolute", "relative", "etc", "twice"):
        with pytest.raises(errors.Denied):
            _where(allowed, place / name / "disk")


def test_a_symlink_that_stays_inside_is_followed(allowed: filepaths.FilePaths, place: Path) -> None:
    (place / "real/deep").mkdir(parents=True)
    (place / "link").symlink_to("real")
    (place / "real/up").symlink_to("../real")
    assert _where(allowed, place / "link/deep/disk") == str(place / "real/deep/disk")
    assert _where(allowed, place / "link/up/up/disk") == str(place / "real/disk")


def test_a_symlink_to_another_listed_path_is_followed(short_dir: Path) -> None:
    one, two = short_dir / "one", short_dir / "two"
    one.mkdir()
    (two / "inst").mkdir(parents=True)
    (one / "inst").symlink_to(two / "inst")
    listing = short_dir / "listing"
    listing.write_text(f"{one}\n{two}\n")
    assert _where(filepaths.FilePaths(listing), one / "inst/disk") == str(two / "inst/disk")


def test_a_listed_path_may_itself_be_a_symlink(short_dir: Path) -> None:
    (short_dir / "real").mkdir()
    (short_dir / "link").symlink_to("real")
    listing = short_dir / "listing"
    listing.write_text(f"{short_dir}/link\n")
    found = _where(filepaths.FilePaths(listing), short_dir / "link/disk")
    assert found == str(short_dir / "real/disk")


def test_symlinks_in_circles_are_refused(allowed: filepaths.FilePaths, place: Path) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    with pytest.raises(errors.Denied, match="too many"):
        _where(allowed, place / "a/disk")


def test_missing_directories_are_made_only_when_asked(
    allowed: filepaths.FilePaths, place: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        _where(allowed, place / "a/b/disk")
    assert _where(allowed, place / "a/b/disk", make=True) == str(place / "a/b/disk")


def test_a_file_in_the_way_is_said(allowed: filepaths.FilePaths, place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(NotADirectoryError):
        _where(allowed, place / "file/disk")


def test_nobody_wins_a_race_with_symlinks(
    allowed: filepaths.FilePaths, place: Path, short_dir: Path
) -> None:
    """A directory that is swapped for a symlink out and back, all the time."""
    outside = short_dir / "outside"
    outside.mkdir()
    (place / "inst").mkdir()
    (short_dir / "link").symlink_to(outside)
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            (place / "inst").rename(place / "away")
            (short_dir / "link").rename(place / "inst")
            (place / "inst").rename(short_dir / "link")
            (place / "away").rename(place / "inst")

    swapping = threading.Thread(target=swap)
    swapping.start()
    reached = refused = 0
    try:
        for turn in range(3000):
            try:
                with allowed.parent(str(place / "inst/disk")) as found:
                    reached += 1
                    name = f"disk{turn}"
                    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=found.dirfd))
            except (errors.Denied, OSError):
                refused += 1
    finally:
        ended.set()
        swapping.join()
    assert reached
    assert refused
    assert not list(outside.iterdir())


def test_no_descriptors_are_left(allowed: filepaths.FilePaths, place: Path) -> None:
    (place / "deep/er").mkdir(parents=True)
    (place / "out").symlink_to("/etc")
    (place / "in").symlink_to("deep")
    (place / "file").touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("deep/er/d", "out/d", "in/er/d", "file/d", "none/d"):
        with contextlib.suppress(errors.Failure, OSError):
            _where(allowed, place / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
