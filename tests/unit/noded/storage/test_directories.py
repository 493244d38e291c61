"""Directories of instances: below the listed paths, and gone only when empty."""

from pathlib import Path

import pytest

from pyganeti.base import errors

from .conftest import Site


async def test_a_directory_is_made_with_its_parents_and_may_be_there(site: Site) -> None:
    wanted = site.place / "a/b"
    for _ in range(2):
        await site.storage.directories.create(str(wanted))
    assert wanted.is_dir()
    assert wanted.stat().st_mode & 0o777 == 0o750


async def test_a_listed_path_is_made_but_never_removed_or_renamed(site: Site) -> None:
    site.place.rmdir()
    await site.storage.directories.create(str(site.place))
    assert site.place.is_dir()
    with pytest.raises(errors.Denied, match="not removed"):
        await site.storage.directories.remove(f"{site.place}/")
    with pytest.raises(errors.Denied, match="not renamed"):
        await site.storage.directories.rename(str(site.place), str(site.place / "x"))


async def test_an_empty_directory_is_removed_and_may_be_gone(site: Site) -> None:
    path = str(site.place / "a")
    await site.storage.directories.create(path)
    (site.place / "a/.new-disk0").write_text("left by a killed create")
    for _ in range(2):
        await site.storage.directories.remove(path)
    assert site.names() == []
    await site.storage.directories.remove(str(site.place / "none/a"))


async def test_a_directory_with_a_disk_in_it_stays(site: Site) -> None:
    await site.storage.directories.create(str(site.place / "a"))
    await site.create(site.file("a/disk0"))
    with pytest.raises(errors.Denied, match="not empty"):
        await site.storage.directories.remove(str(site.place / "a"))
    assert (site.place / "a/disk0").exists()


async def test_files_and_symlinks_are_no_directories(site: Site, short_dir: Path) -> None:
    outside = short_dir / "outside"
    outside.mkdir()
    (site.place / "file").touch()
    (site.place / "link").symlink_to(outside)
    for name in ("file", "link"):
        for refused in (
            site.storage.directories.create(str(site.place / name)),
            site.storage.directories.remove(str(site.place / name)),
        ):
            with pytest.raises(errors.Denied, match="not a directory"):
                await refused
    with pytest.raises(errors.Denied):
        await site.storage.directories.create(str(site.place / "link/inst"))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["/etc/x", "/tmp/elsewhere", "x", "/a/../b", "{}/../x"])
async def test_other_places_are_refused(site: Site, path: str) -> None:
    path = path.format(site.place)
    for refused in (
        site.storage.directories.create(path),
        site.storage.directories.remove(path),
        site.storage.directories.rename(path, str(site.place / "x")),
    ):
        with pytest.raises((errors.Denied, errors.BadInput)):
            await refused


async def test_a_directory_is_renamed_and_that_can_be_repeated(site: Site) -> None:
    old, new = str(site.place / "old"), str(site.place / "new")
    await site.storage.directories.create(old)
    await site.create(site.file("old/disk0"))
    for _ in range(2):
        await site.storage.directories.rename(old, new)
    assert (site.place / "new/disk0").exists()
    await site.storage.directories.create(old)
    with pytest.raises(errors.BadInput, match="both exist"):
        await site.storage.directories.rename(old, new)
    with pytest.raises(errors.Unavailable, match="not a directory"):
        await site.storage.directories.rename(str(site.place / "x"), str(site.place / "y"))
