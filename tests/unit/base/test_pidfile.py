import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from pyganeti.base import descriptors, errors, pidfile

_HOLDER = """
import sys
from pathlib import Path
from pyganeti.base import errors, pidfile
held = pidfile.PidFile(Path(sys.argv[1]))
print("born", flush=True)
sys.stdin.readline()
try:
    held.acquire()
except errors.AlreadyRunning as error:
    print("refused", error.pid, flush=True)
else:
    print("acquired", flush=True)
sys.stdin.readline()
held.release()
"""


class Disk(Protocol):
    path: Path

    def fill(self) -> None: ...


class Holder:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go_on(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@contextmanager
def holders(path: Path, number: int = 1) -> Iterator[list[Holder]]:
    made = [Holder(path) for _ in range(number)]
    try:
        assert [holder.hear() for holder in made] == ["born"] * number
        yield made
    finally:
        for holder in made:
            holder.process.kill()
            holder.process.communicate()


def test_the_file_has_the_pid_and_its_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "run/ganeti/x.pid"
    before = os.umask(0o077)
    try:
        held = pidfile.PidFile(path)
        held.acquire()
    finally:
        os.umask(before)
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    held.release()
    assert not path.exists()
    held.release()


def test_a_second_one_is_refused_with_pid_and_name_and_leaves_no_descriptor(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.pid"
    with holders(path) as [holder]:
        holder.go_on()
        assert holder.hear() == "acquired"
        before = descriptors.open_count()
        second = pidfile.PidFile(path)
        with pytest.raises(errors.AlreadyRunning) as caught:
            second.acquire()
        second.release()
        assert descriptors.open_count() == before
        assert caught.value.pid == holder.process.pid
        assert caught.value.name
        assert path.read_text() == f"{holder.process.pid}\n"


@pytest.mark.parametrize("content", [b"", b"1\n", b"99999999\n", b"\0\xff" * 4000, b"-1"])
def test_a_stale_file_keeps_nobody_from_starting(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_bytes(content)
    held = pidfile.PidFile(path)
    held.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()


def test_a_killed_holder_leaves_a_file_that_the_next_one_takes(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with holders(path) as [holder]:
        holder.go_on()
        assert holder.hear() == "acquired"
        holder.process.kill()
        holder.process.wait()
        assert path.exists()
        held = pidfile.PidFile(path)
        held.acquire()
        assert path.read_text() == f"{os.getpid()}\n"
        held.release()


def test_of_many_that_start_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text("stale\n")
    with holders(path, 6) as made:
        for holder in made:
            holder.go_on()
        heard = [holder.hear() for holder in made]
        assert sorted(word.split()[0] for word in heard) == ["acquired"] + ["refused"] * 5
        owner = made[heard.index("acquired")].process.pid
        assert {word for word in heard if word != "acquired"} == {f"refused {owner}"}
        assert path.read_text() == f"{owner}\n"


def test_one_that_ends_while_another_starts_never_leaves_two_or_a_lock_without_a_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.pid"
    with holders(path) as [holder]:
        holder.go_on()
        assert holder.hear() == "acquired"
        holder.go_on()  # it releases now, while we try
        held = pidfile.PidFile(path)
        while True:
            try:
                held.acquire()
            except errors.AlreadyRunning as error:
                assert error.pid in {holder.process.pid, None}  # noqa: PT017
            else:
                break
        assert path.read_text() == f"{os.getpid()}\n"
        held.release()


def test_a_file_that_took_the_place_of_ours_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = pidfile.PidFile(path)
    held.acquire()
    path.unlink()
    path.write_text("somebody else's\n")
    held.release()
    assert path.read_text() == "somebody else's\n"


def test_a_forked_child_that_releases_takes_nothing_away(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    program = (
        "import os, sys; from pathlib import Path; from pyganeti.base import pidfile\n"
        "held = pidfile.PidFile(Path(sys.argv[1])); held.acquire()\n"
        "child = os.fork()\n"
        "if not child: held.release(); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "try: pidfile.PidFile(Path(sys.argv[1])).acquire()\n"
        "except Exception as error: print(type(error).__name__, error.pid == os.getpid())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert said.stdout == "AlreadyRunning True\n"


def test_a_symlink_or_a_directory_in_its_place_is_unavailable(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    for name in ("link", "directory", "file/x.pid"):
        with pytest.raises(errors.Unavailable, match=name.partition("/")[0]):
            pidfile.PidFile(tmp_path / name).acquire()
    assert victim.read_text() == "precious"


@pytest.mark.root
def test_a_full_disk_costs_the_number_but_not_the_lock(
    small_disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    small_disk.fill()
    path = small_disk.path / "x.pid"
    held = pidfile.PidFile(path)
    held.acquire()
    assert "the pid is not in the pid file" in caplog.text
    with pytest.raises(errors.AlreadyRunning, match=f"pid {os.getpid()}"):
        pidfile.PidFile(path).acquire()
    held.release()
    assert not path.exists()


def test_the_kernel_is_believed_rather_than_the_number_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = pidfile.PidFile(path)
    held.acquire()
    path.write_text("1\n")
    with pytest.raises(errors.AlreadyRunning, match=f"pid {os.getpid()}"):
        pidfile.PidFile(path).acquire()
    held.release()
