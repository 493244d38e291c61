"""Zeros, images and other disks' content on disks; what is too large is refused, not cut off."""

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks

from .conftest import Site

_MIB = 1024 * 1024
_FORMATS = ["raw", "qcow2"]


async def _content(site: Site, disk: disks.Disk) -> bytes:
    """Return a disk's content, read by way of a raw copy."""
    copy = site.file("copy", size=disk.size)
    await site.create(copy)
    await site.storage.convert(disk, copy)
    content = (site.place / "copy").read_bytes()
    await site.storage.remove(copy)
    return content


def _image(path: Path, mib: float = 1) -> bytes:
    content = os.urandom(int(mib * _MIB))
    path.write_bytes(content)
    return content


@pytest.mark.parametrize("fmt", _FORMATS)
async def test_an_image_lands_at_the_beginning_and_the_size_stays(
    site: Site, short_dir: Path, fmt: str
) -> None:
    image = _image(short_dir / "image", 1.5)
    disk = site.file(size=4, format=fmt)
    await site.create(disk)
    await site.storage.image(disk, str(short_dir / "image"), 4)
    assert await _content(site, disk) == image.ljust(4 * _MIB, b"\0")
    assert await site.storage.dimensions(disk) == (4 * _MIB, None)
    assert site.names() == ["disk0"]


@pytest.mark.parametrize("fmt", _FORMATS)
async def test_a_wipe_hits_its_part_alone(site: Site, short_dir: Path, fmt: str) -> None:
    image = _image(short_dir / "image", 4)
    disk = site.file(size=4, format=fmt)
    await site.create(disk)
    await site.storage.image(disk, str(short_dir / "image"), 4)
    await site.storage.wipe(disk, 1, 2)
    assert await _content(site, disk) == image[:_MIB] + bytes(2 * _MIB) + image[3 * _MIB :]


@pytest.mark.parametrize("target", _FORMATS)
@pytest.mark.parametrize("source", _FORMATS)
async def test_a_disk_becomes_another_of_any_format(
    site: Site, short_dir: Path, source: str, target: str
) -> None:
    image = _image(short_dir / "image", 3)
    one, two = site.file("one", format=source), site.file("two", size=5, format=target)
    await site.create(one)
    await site.create(two)
    await site.storage.image(one, str(short_dir / "image"), 4)
    await site.storage.convert(one, two)
    assert await _content(site, two) == image.ljust(5 * _MIB, b"\0")


async def test_a_target_that_is_too_small_is_refused(site: Site) -> None:
    one, two = site.file("one", size=4), site.file("two", size=3)
    await site.create(one)
    await site.create(two)
    with pytest.raises(errors.Failure, match="smaller"):
        await site.storage.convert(one, two)


async def test_a_header_that_a_guest_wrote_means_nothing(site: Site, short_dir: Path) -> None:
    """A raw disk that looks like a qcow2 image with /etc/passwd behind it stays raw."""
    evil = site.file("evil", format="qcow2", size=1)
    await site.create(evil)
    header = (site.place / "evil").read_bytes()
    disk, copy = site.file("disk", size=1), site.file("copy", size=1)
    await site.create(disk)
    await site.create(copy)
    with (site.place / "disk").open("r+b") as file:
        file.write(header[:_MIB])
    await site.storage.convert(disk, copy)
    assert (site.place / "copy").read_bytes() == (site.place / "disk").read_bytes()
    assert (site.place / "copy").read_bytes().startswith(b"QFI\xfb")


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, -1), (0, 5), (4, 1), (5, 0)])
async def test_a_wipe_beyond_the_disk_is_refused(site: Site, offset: int, size: int) -> None:
    await site.create(site.file())
    with pytest.raises(errors.BadInput, match="not to be wiped"):
        await site.storage.wipe(site.file(), offset, size)


async def test_images_that_cannot_be_are_refused(site: Site, short_dir: Path) -> None:
    disk = site.file(size=2)
    await site.create(disk)
    _image(short_dir / "large", 3)
    os.mkfifo(short_dir / "pipe")
    with pytest.raises(errors.BadInput, match="more than 2 MiB"):
        await site.storage.image(disk, str(short_dir / "large"), 2)
    with pytest.raises(errors.BadInput, match="neither a file"):
        await site.storage.image(disk, str(short_dir / "pipe"), 2)
    with pytest.raises(errors.Unavailable, match="No such file"):
        await site.storage.image(disk, str(short_dir / "none"), 2)
    with pytest.raises(errors.BadInput, match="no room"):
        await site.storage.image(disk, str(short_dir / "large"), 3)
    assert (site.place / "disk0").read_bytes() == bytes(2 * _MIB)


async def test_what_is_not_there_cannot_be_filled(site: Site, short_dir: Path) -> None:
    _image(short_dir / "image")
    for refused in (
        site.storage.wipe(site.file(), 0, 1),
        site.storage.image(site.file(), str(short_dir / "image"), 1),
        site.storage.convert(site.file(), site.file("other")),
    ):
        with pytest.raises(errors.Unavailable, match="No such file"):
            await refused
    assert site.names() == []


@pytest.fixture
def served(short_dir: Path) -> Iterator[tuple[str, Path]]:
    """Serve a directory on the loopback device; return its URL and path."""
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    directory = short_dir / "served"
    directory.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(directory))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", directory
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("fmt", _FORMATS)
@pytest.mark.parametrize("mib", [0.3, 2])
async def test_an_image_is_downloaded(
    site: Site, served: tuple[str, Path], fmt: str, mib: float
) -> None:
    url, directory = served
    image = _image(directory / "image", mib)
    disk = site.file(size=2, format=fmt)
    await site.create(disk)
    await site.storage.image(disk, f"{url}/image", 2)
    assert await _content(site, disk) == image.ljust(2 * _MIB, b"\0")
    assert site.names() == ["disk0"]


@pytest.mark.parametrize("fmt", _FORMATS)
@pytest.mark.parametrize("more", [1, 3 * _MIB])
async def test_a_download_that_is_too_large_is_refused_and_the_size_stays(
    site: Site, served: tuple[str, Path], fmt: str, more: int
) -> None:
    url, directory = served
    (directory / "image").write_bytes(bytes(2 * _MIB + more))
    disk = site.file(size=2, format=fmt)
    await site.create(disk)
    with pytest.raises(errors.BadInput, match="more than 2 MiB"):
        await site.storage.image(disk, f"{url}/image", 2)
    assert await site.storage.dimensions(disk) == (2 * _MIB, None)
    assert site.names() == ["disk0"]


async def test_a_download_that_fails_says_why(site: Site, served: tuple[str, Path]) -> None:
    url, _ = served
    await site.create(site.file())
    with pytest.raises(errors.Failure, match="404"):
        await site.storage.image(site.file(), f"{url}/none", 2)
    with pytest.raises(errors.Failure, match="onnect"):
        await site.storage.image(site.file(), "http://127.0.0.1:1/x", 2)
