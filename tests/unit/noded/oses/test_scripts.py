"""Scripts of OS definitions, their logs, and archives."""

import stat
import tarfile
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded.oses import definition, packing, scripts


@pytest.fixture
def has(layout: paths.Paths, folder: Path) -> definition.Definition:
    return definition.load("noop", definition.places(layout))


async def _create(has: definition.Definition, logs: Path, *, timeout: float = 20) -> None:
    await scripts.run_logged(
        has, "create", {"PATH": "/usr/bin:/bin", "A": "b"}, logs=logs, about="add-noop/x-web1",
        instance="web1", timeout=timeout,
    )  # fmt: skip


async def test_what_a_script_says_stays_in_a_log_of_its_own(
    has: definition.Definition, folder: Path, layout: paths.Paths
) -> None:
    (folder / "create").write_text("#!/bin/sh\npwd; echo $A; echo oops >&2\n")
    logs = layout.log_dir / "os"
    await _create(has, logs)
    (log,) = logs.iterdir()
    assert log.name.startswith("add-noop_x-web1-")
    assert log.name.endswith(".log")
    assert log.read_text() == f"{folder}\nb\noops\n"
    assert stat.S_IMODE(log.stat().st_mode) & 0o007 == 0


async def test_a_failure_tells_the_end_of_the_log(
    has: definition.Definition, folder: Path, layout: paths.Paths
) -> None:
    (folder / "create").write_text("#!/bin/sh\nseq 1 100; exit 9\n")
    with pytest.raises(errors.Unavailable, match=r"create script failed \(exited .* 9\)") as found:
        await _create(has, layout.log_dir / "os")
    assert str(found.value).splitlines()[1:] == [str(number) for number in range(81, 101)]


async def test_one_that_takes_too_long_is_killed(
    has: definition.Definition, folder: Path, layout: paths.Paths
) -> None:
    (folder / "create").write_text("#!/bin/sh\necho begun; sleep 60\n")
    with pytest.raises(errors.Unavailable, match=r"(?s)killed after .*begun"):
        await _create(has, layout.log_dir / "os", timeout=0.2)


async def test_one_without_a_shell_or_a_log_is_said(
    has: definition.Definition, folder: Path, layout: paths.Paths
) -> None:
    (folder / "create").write_text("#!/no/such/shell\n")
    with pytest.raises(errors.Unavailable, match="failed to execute"):
        await _create(has, layout.log_dir / "os")
    blocked = layout.root / "file"
    blocked.write_text("")
    with pytest.raises(errors.Unavailable, match="cannot be written"):
        await _create(has, blocked / "os")


async def test_verify_gets_the_checks_and_objects_in_its_words(
    has: definition.Definition, folder: Path
) -> None:
    (folder / "verify").write_text('#!/bin/sh\n[ "$1" = parameters ] || exit 3\n')
    await scripts.verify(has, ["parameters"], {"PATH": "/usr/bin:/bin"})
    (folder / "verify").write_text("#!/bin/sh\necho wrong size; exit 1\n")
    with pytest.raises(errors.BadInput, match=r"code 1.* wrong size"):
        await scripts.verify(has, ["parameters"], {"PATH": "/usr/bin:/bin"})


def test_an_archive_has_the_definition_and_the_environment(
    has: definition.Definition, folder: Path
) -> None:
    (folder / "link").symlink_to("create")
    path = packing.pack(has, {"A": "b", "C": "d e"})
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with tarfile.open(path) as archive:
            assert {"os", "os/create", "os/variants.list", "environment"} <= set(archive.getnames())
            assert archive.getmember("os/link").isfile()
            said = archive.extractfile("environment")
            assert said is not None
            assert said.read() == b"A=b\nC=d e\n"
    finally:
        path.unlink()
